// A list of any length of which only the rows in sight exist. The box has the focus; the chosen row is announced.

import { el } from "./dom.js";

const SPARE_ROWS = 6;

export class List {
  // `build` makes the content of a row from an item; `open` is called with the chosen one; items have a unique `seq`.
  constructor(label, build, open) {
    this.items = [];
    this.chosen = null;
    this.build = build;
    this.open = open;
    this.rows = new Map();
    this.space = el("div", { class: "space", role: "presentation" });
    this.box = el("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label }, this.space);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  // Shows these items. `above` is how many were put before those of the last time: what a person looks at stays in place.
  set(items, above = 0) {
    this.items = items;
    this.box.hidden = items.length === 0;
    if (this.box.hidden) return;
    const height = this.rowHeight();
    this.space.style.height = `${items.length * height}px`;
    if (above > 0 && this.box.scrollTop > 0) this.box.scrollTop += above * height;
    this.draw();
  }

  // Items have changed, and are built anew when they are in sight.
  refresh() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.draw();
  }

  rowHeight() {
    if (!this.height) this.height = parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 44;
    return this.height;
  }

  draw() {
    const height = this.rowHeight();
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - SPARE_ROWS);
    const end = Math.min(this.items.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + SPARE_ROWS);
    const seen = new Map();
    for (let place = first; place < end; place += 1) {
      const item = this.items[place];
      const row = this.rows.get(item.seq) ?? this.row(item);
      row.style.top = `${place * height}px`;
      row.setAttribute("aria-posinset", place + 1);
      row.setAttribute("aria-setsize", this.items.length);
      row.setAttribute("aria-selected", item.seq === this.chosen);
      seen.set(item.seq, row);
    }
    for (const [seq, row] of this.rows) if (!seen.has(seq)) row.remove();
    for (const row of seen.values()) if (!row.isConnected) this.space.append(row);
    this.rows = seen;
    if (seen.has(this.chosen)) this.box.setAttribute("aria-activedescendant", `row-${this.chosen}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(item) {
    const row = el("div", { class: "row", role: "option", id: `row-${item.seq}` }, ...this.build(item));
    row.dataset.seq = item.seq;
    return row;
  }

  click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.choose(this.items.findIndex((item) => item.seq === Number(row.dataset.seq)));
    this.openChosen();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight()) - 1);
    const last = this.items.length - 1;
    const at = this.items.findIndex((item) => item.seq === this.chosen);
    const to = {
      ArrowDown: Math.min(last, at + 1),
      ArrowUp: Math.max(0, at - 1),
      PageDown: Math.min(last, at + page),
      PageUp: Math.max(0, at - page),
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined) this.choose(to);
    else if (event.key === "Enter" || event.key === " ") this.openChosen();
    else return;
    event.preventDefault();
  }

  choose(place) {
    const item = this.items[place];
    if (!item) return;
    this.chosen = item.seq;
    const height = this.rowHeight();
    const top = place * height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + height > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + height - this.box.clientHeight;
    this.draw();
  }

  openChosen() {
    const item = this.items.find((each) => each.seq === this.chosen);
    if (item) this.open(item);
  }
}
