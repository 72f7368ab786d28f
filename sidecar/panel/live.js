// What came in just now: follows the strand, keeps the newest records, and lets a person hold, filter and open them.

import { Refusal, events } from "./api.js";
import { byId, clock, count, el, number, plain, say } from "./dom.js";
import { follow } from "./events.js";
import { List } from "./list.js";
import { openRecord } from "./record.js";
import { rowState } from "./words.js";

// Records kept in the page.
const KEPT_MAX = 10000;
const FIRST_PAGE = 200;
const OLDER_PAGE = 500;
const SUMMARY_MAX = 160;
const KEYS = ["build_id", "queue_id", "agent_id", "project_id", "event"];

let kept = [];
let held = [];
let cursor = null;
let holds = false;
let newestSeen = 0;
let drawing = false;
let arrived = 0;
let following = null;
let gone = 0;
const parts = {};

export function startLive(types) {
  parts.list = new List("Records, newest first", build, (item) => openRecord(item.seq));
  parts.pause = el("button", { type: "button", "aria-pressed": "false", onclick: toggle }, "Pause");
  parts.type = el("select", { id: "live-type", onchange: filter }, el("option", { value: "" }, "all types"),
    [...types.map((type) => type.record_type), "document"].map((name) => el("option", { value: name }, name)));
  parts.text = el("input", { id: "live-text", type: "search", autocomplete: "off", spellcheck: "false",
    placeholder: "bld_001", oninput: filter });
  parts.count = el("p", { class: "hint", id: "live-count" });
  parts.empty = el("p", { class: "empty" }, "No record yet. Send one under “Try one”.");
  parts.older = el("button", { type: "button", onclick: older, hidden: true }, "Load older records");
  parts.note = el("p", { class: "hint", role: "status" });
  byId("live-body").append(
    el("div", { class: "tools" }, parts.pause,
      el("label", { for: "live-type" }, "Type ", parts.type),
      el("label", { for: "live-text" }, "Key contains ", parts.text)),
    parts.count, parts.empty, parts.list.box, el("div", { class: "tools" }, parts.older), parts.note);
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : begin()));
  begin();
}

// Begins with the newest page, and follows from there. A page that nobody looks at follows nothing.
async function begin() {
  stop();
  following = new AbortController();
  const { signal } = following;
  while (!signal.aborted) {
    try {
      const page = await events(FIRST_PAGE, null, null, signal);
      kept = page.events.map(item);
      held = [];
      cursor = page.next_cursor;
      newestSeen = kept[0]?.seq ?? 0;
      tellMissing(page.missing);
      draw();
      await follow(newestSeen, signal, { record, missing, state, lost: () => {} });
    } catch (error) {
      if (signal.aborted) return;
      state("wait", error instanceof Refusal ? error.message : "the sidecar does not answer");
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function stop() {
  following?.abort();
}

function record(event) {
  if (event.seq <= newestSeen) return;
  newestSeen = event.seq;
  if (holds) {
    held.push(item(event));
    if (held.length > KEPT_MAX) held.shift();
  } else {
    kept.unshift(item(event));
    arrived += 1;
  }
  drawSoon();
}

function missing(part) {
  tellMissing([part]);
}

function tellMissing(missing) {
  gone += missing.reduce((sum, part) => sum + part.last_seq - part.first_seq + 1, 0);
  if (missing.length > 0) {
    const last = missing[missing.length - 1];
    say(parts.note, `${count(gone, "record")} can't be shown: seq ${last.first_seq} to ${last.last_seq}: ${last.why}.`);
  }
}

function state(kind, text) {
  const link = byId("link");
  link.className = `pill ${kind === "live" ? "good" : "wait"}`;
  say(link, kind === "live" ? "live" : `not live: ${text}`);
}

// Large records would fill the memory of a browser, so only a line of each is kept.
function item(event) {
  const data = event.data ?? {};
  const key = KEYS.map((name) => data[name]).filter((value) => typeof value === "string").join(" · ");
  const status = typeof data.status === "string" ? ` · ${data.status}` : "";
  return {
    seq: event.seq,
    type: event.record_type,
    ms: event.ingested_at_ms,
    ok: event.dual_write_ok,
    error: event.dual_write_error,
    text: event.payload_gone ? "retention removed the payload" : plain((key + status).slice(0, SUMMARY_MAX)),
  };
}

function build(item) {
  const row = rowState(item.ok, item.error);
  return [
    el("span", { class: "seq" }, String(item.seq)),
    el("span", { class: "time" }, clock(item.ms)),
    el("span", { class: `type ${item.type}` }, item.type),
    el("span", { class: "text" }, item.text),
    el("span", { class: `pill ${row.tone}` }, row.title),
  ];
}

function wanted() {
  const type = parts.type.value;
  const text = parts.text.value.trim().toLowerCase();
  if (!type && !text) return kept;
  return kept.filter((item) => (!type || item.type === type) && (!text || item.text.toLowerCase().includes(text)));
}

// Many records may come in one frame of the screen.
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  if (kept.length > KEPT_MAX) {
    kept.length = KEPT_MAX;
    cursor = null;
  }
  const items = wanted();
  parts.list.set(items, items === kept ? arrived : 0);
  arrived = 0;
  parts.empty.hidden = kept.length > 0;
  parts.older.hidden = !cursor || kept.length >= KEPT_MAX;
  const shown = items === kept ? "" : ` · ${number(items.length)} shown`;
  const waiting = held.length > 0 ? ` · ${count(held.length, "new record")} held back` : "";
  say(parts.count, `${count(kept.length, "record")} here${shown}${waiting}`);
}

function filter() {
  arrived = 0;
  parts.list.box.scrollTop = 0;
  draw();
}

function toggle() {
  holds = !holds;
  parts.pause.setAttribute("aria-pressed", String(holds));
  say(parts.pause, holds ? "Go on" : "Pause");
  if (!holds) {
    arrived += held.length;
    kept.unshift(...held.reverse());
    held = [];
  }
  draw();
}

async function older() {
  const from = cursor;
  parts.older.disabled = true;
  try {
    const page = await events(OLDER_PAGE, from);
    kept.push(...page.events.map(item));
    cursor = page.next_cursor;
    tellMissing(page.missing);
  } catch (error) {
    say(parts.note, `Older records could not be loaded: ${error.message}.`);
  }
  parts.older.disabled = false;
  draw();
}

// The newest page again, for what has become of its rows since they came.
export async function refreshRows() {
  const open = kept.slice(0, FIRST_PAGE).some((item) => rowState(item.ok, item.error).tone === "wait");
  if (!open || document.hidden) return;
  const page = await events(FIRST_PAGE);
  const now = new Map(page.events.map((event) => [event.seq, item(event)]));
  let changed = false;
  kept = kept.map((old) => {
    const fresh = now.get(old.seq);
    if (!fresh || (fresh.ok === old.ok && fresh.error === old.error)) return old;
    changed = true;
    return fresh;
  });
  if (changed) parts.list.refresh();
}
