// The lanes: how each stands, why, what to do next, and the records that Supabase rejected.

import { Refusal, retry } from "./api.js";
import { ago, byId, count, duration, el, number, show } from "./dom.js";
import { openRecord } from "./record.js";
import { laneState } from "./words.js";

const answers = new Map();
const busy = new Set();
let last = [];

export function showLanes(lanes) {
  last = lanes;
  const shown = lanes.map((lane) => ({ ...lane, head: null, answer: answers.get(lane.record_type) ?? null, busy: busy.has(lane.record_type) }));
  show(byId("lanes-body"), shown, (all) => el("div", { class: "cards" }, all.map(card)));
}

function card(lane) {
  const state = laneState(lane.state);
  const nothing = lane.dead_lettered + lane.set_aside + lane.backlog === 0;
  return el("article", { class: "card", "aria-labelledby": `lane-${lane.record_type}` },
    el("h3", { id: `lane-${lane.record_type}` }, lane.record_type, " ", el("span", { class: `pill ${state.tone}` }, state.title)),
    el("p", {}, state.text),
    lane.reason ? el("p", { class: `note ${state.tone}` }, lane.reason) : null,
    state.next ? el("p", {}, el("strong", {}, "Next: "), state.next) : null,
    el("dl", { class: "facts" }, facts(lane).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    lane.state === "disabled" || nothing ? null : retryButton(lane),
    el("p", { role: "status", class: "hint" }, lane.answer ?? ""),
    lane.dead_letters.length > 0 ? letters(lane) : null);
}

function facts(lane) {
  const all = [
    ["table", lane.table],
    ["mirrored", number(lane.mirrored)],
    lane.state === "disabled" ? ["not mirrored", number(lane.backlog)] : ["waiting", lane.backlog > 0 ? `${number(lane.backlog)}, the oldest for ${duration(lane.lag_ms)}` : "none"],
    ["dead letters", number(lane.dead_lettered)],
  ];
  if (lane.set_aside > 0) all.push(["set aside", `${number(lane.set_aside)}, sent again by themselves`]);
  if (lane.retry_in_ms !== null) all.push(["next attempt", `in ${duration(lane.retry_in_ms)}`]);
  if (lane.mode) all.push(["mode", lane.mode === "latest" ? `latest: one row per ${lane.key.join(", ")}` : "append: a row per record"]);
  if (lane.lost_columns.length > 0) all.push(["skipped columns", lane.lost_columns.join(", ")]);
  return all;
}

function retryButton(lane) {
  const label = lane.dead_lettered > 0 ? `Send ${count(lane.dead_lettered, "dead letter")} again` : "Try now";
  return el("button", { type: "button", disabled: lane.busy, "data-focus": `retry-${lane.record_type}`,
    "aria-label": `${label}, lane ${lane.record_type}`, onclick: () => send(lane.record_type) }, lane.busy ? "Sending" : label);
}

async function send(recordType) {
  busy.add(recordType);
  answers.delete(recordType);
  showLanes(last);
  try {
    const done = await retry(recordType);
    answers.set(recordType, `${count(done.retried, "dead letter")} sent: ${number(done.mirrored)} mirrored, ${number(done.dead_lettered)} rejected again.`);
  } catch (error) {
    answers.set(recordType, error instanceof Refusal ? `Not retried: ${error.message}.` : "The sidecar does not answer.");
  }
  busy.delete(recordType);
  showLanes(last);
}

function letters(lane) {
  const head = ["record", "Supabase's answer", "attempts", "since"].map((text) => el("th", { scope: "col" }, text));
  const total = lane.dead_lettered + lane.set_aside;
  return el("details", { "data-name": lane.record_type },
    el("summary", { "data-focus": `letters-${lane.record_type}` },
      total > lane.dead_letters.length ? `The oldest ${lane.dead_letters.length} of ${number(total)} rejected records` : "The rejected records"),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Rejected records of ${lane.record_type}` },
      el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, lane.dead_letters.map(letter)))));
}

function letter(one) {
  return el("tr", {},
    el("td", {}, el("button", { type: "button", "aria-label": `Open record ${one.seq}`, "data-focus": `letter-${one.seq}`,
      onclick: () => openRecord(one.seq) }, String(one.seq))),
    el("td", {}, el("strong", {}, one.code), ` ${one.message}`),
    el("td", {}, number(one.attempts)),
    el("td", {}, ago(one.since_ms)));
}
