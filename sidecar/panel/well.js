// Is it well? One sentence, then the figures.

import { ago, byId, bytes, count, duration, el, number, show } from "./dom.js";
import { troubles } from "./words.js";

export function showWell(status, chainBreak) {
  const found = troubles(status, chainBreak);
  show(byId("verdict"), found, verdict);
  byId("verdict").className = `note ${found.length === 0 ? "good" : found.some((each) => each.tone === "bad") ? "bad" : "wait"}`;
  show(byId("tiles"), tiles(status, chainBreak), (all) => all.map(([name, value, hint, tone]) =>
    el("div", { class: `tile ${tone ?? ""}` }, el("dt", {}, name), el("dd", {}, el("strong", {}, value), hint ? el("span", { class: "hint" }, hint) : null))));
}

function verdict(found) {
  if (found.length === 0) return el("strong", {}, "All is well.");
  return el("ul", {}, found.map((each) => el("li", {}, el("strong", {}, each.text), each.next ? ` ${each.next}` : "")));
}

function tiles(status, chainBreak) {
  const { strand, mirror, retention } = status;
  const sum = (name) => mirror.reduce((total, lane) => total + lane[name], 0);
  const lag = Math.max(0, ...mirror.map((lane) => lane.lag_ms));
  const backlog = sum("backlog");
  const letters = sum("dead_lettered");
  const [phase, rest] = status.integration_phase.split(" — ");
  const damage = strand.gaps.length + strand.quarantined.length + strand.scrub.damaged;
  const scrubbed = strand.scrub.last_finished_ms ? `all read again ${ago(strand.scrub.last_finished_ms)}` : "not all read again yet";
  const size = strand.segment_bytes + strand.tail_bytes;
  return [
    ["Phase", phase, rest ?? ""],
    ["Head", number(strand.head.seq), strand.head.seq > 0 ? `newest ${ago(strand.head.timestamp_ms)}` : "no record yet"],
    lagTile(status, backlog, lag),
    ["Dead letters", number(letters), letters > 0 ? "rejected by Supabase" : "none rejected", letters > 0 ? "bad" : ""],
    ["Chain", chainBreak ? "broken" : damage > 0 ? "damaged" : "no damage known", scrubbed, chainBreak || damage > 0 ? "bad" : ""],
    ["Disk", bytes(size), `${count(strand.segments, "segment")}${retention.freed_bytes > 0 ? `, ${bytes(retention.freed_bytes)} freed` : ""}`],
  ];
}

function lagTile({ dual_write_enabled, legacy_projects }, backlog, lag) {
  if (!dual_write_enabled && legacy_projects === 0) return ["Lag", "none", "new records are not mirrored"];
  return ["Lag", backlog > 0 ? duration(lag) : "none", backlog > 0 ? `${count(backlog, "record")} wait` : "everything is mirrored"];
}
