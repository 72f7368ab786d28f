// Elements from text. Text becomes text nodes and never HTML, whatever a record contains.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes and children; a child is a node or becomes text, null is left out.
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// The text with marks in sight that could disguise it: controls, and those that turn the direction of writing.
export function plain(text) {
  const hidden = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
  return text.replace(hidden, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export const byId = (id) => document.getElementById(id);

// Replaces the text only when it differs, so that screen readers do not say it again.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Replaces the children only when what they are made of differs: focus and selection stay where they are.
export function show(element, made, build) {
  const key = JSON.stringify(made);
  if (element.shown === key) return;
  element.shown = key;
  const kept = document.activeElement?.closest("[data-focus]");
  const focus = kept && element.contains(kept) ? kept.dataset.focus : null;
  const opened = new Set([...element.querySelectorAll("details[open]")].map((each) => each.dataset.name));
  element.replaceChildren(...[build(made)].flat());
  for (const each of element.querySelectorAll("details")) each.open = opened.has(each.dataset.name);
  if (focus) element.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus();
}

export function count(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

export function number(n) {
  return Number(n).toLocaleString("en");
}

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (n >= 1024 && power < units.length - 1) {
    n /= 1024;
    power += 1;
  }
  return `${power === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[power]}`;
}

export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 90) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

export function ago(ms) {
  return `${duration(Math.max(0, Date.now() - ms))} ago`;
}

export function clock(ms) {
  const date = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function when(ms) {
  return Number.isFinite(ms) ? `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC` : "";
}
