// Computes every hash of the chain again, and says how far it is and what came of it.

import { Refusal, lines, verify } from "./api.js";
import { byId, count, el, number, say } from "./dom.js";

const parts = {};
let running = null;
let found = null;

// What the last check found against the chain; null if it was intact or there was none.
export const breakFound = () => found;

export function startCheck() {
  parts.button = el("button", { type: "button", class: "first", onclick: toggle }, "Check the chain");
  parts.progress = el("progress", { max: "1", value: "0", "aria-label": "Progress of the check", hidden: true });
  parts.text = el("div", { role: "status" });
  byId("check-body").append(
    el("p", { class: "hint" }, "The sidecar reads every record that it holds and computes every hash again. It goes on taking records meanwhile."),
    el("div", { class: "tools" }, parts.button, parts.progress), parts.text);
}

function toggle() {
  if (running) running.abort();
  else check();
}

async function check() {
  running = new AbortController();
  say(parts.button, "Stop");
  parts.progress.hidden = false;
  parts.progress.removeAttribute("value");
  parts.text.replaceChildren("Checking.");
  try {
    tell(await verdict(running.signal));
  } catch (error) {
    const stopped = running.signal.aborted;
    const text = stopped ? "The check was stopped." : error instanceof Refusal ? error.message : "The check was cut short.";
    parts.text.replaceChildren(el("div", { class: "note wait" }, text));
  }
  running = null;
  parts.progress.hidden = true;
  say(parts.button, "Check the chain");
}

async function verdict(signal) {
  for await (const line of lines(await verify(signal))) {
    const { progress, ...rest } = JSON.parse(line);
    if (!progress) return rest;
    parts.progress.value = progress.total > 0 ? progress.verified / progress.total : 1;
    say(parts.text, `${number(progress.verified)} of ${number(progress.total)} records checked.`);
  }
  throw new Error("no verdict");
}

function tell(verdict) {
  const begins = verdict.floor.seq > 0 ? ` It begins after record ${verdict.floor.seq}; retention has pruned what is older.` : "";
  const gone = verdict.payloads_gone > 0 ? ` Retention has removed the payload of ${count(verdict.payloads_gone, "record")}.` : "";
  const good = `The chain is intact: ${count(verdict.verified, "record")} checked, up to ${verdict.head.seq}.${begins}${gone} `;
  const bad = `The chain is broken${verdict.broken_seq === null ? "" : ` at record ${verdict.broken_seq}`}: `;
  found = verdict.ok ? null : `${bad}${verdict.reason ?? ""}`;
  parts.text.replaceChildren(el("div", { class: `note ${verdict.ok ? "good" : "bad"}` },
    found ?? good, verdict.ok ? verdict.reason ?? "" : "", " ", verdict.ok ? el("code", { class: "long" }, verdict.head.hash) : null));
}
