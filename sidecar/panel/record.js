// One record: what it says, what its hash covers, its neighbours, and what became of its row.

import { Refusal, mirror, proof, record } from "./api.js";
import { byId, count, el, plain, when } from "./dom.js";
import { rowState } from "./words.js";

// A number that JavaScript would change.
class Exact {
  constructor(text) {
    this.text = text;
  }
}

// Opens a record by its seq or hash.
export async function openRecord(name) {
  const dialog = byId("record");
  if (!dialog.open) dialog.showModal();
  dialog.replaceChildren(title(`Record ${name}`), el("p", {}, "Asking the sidecar."), close(dialog));
  try {
    const text = await record(name);
    const block = JSON.parse(text);
    const letter = await answerOfSupabase(block);
    dialog.replaceChildren(...content(dialog, block, exactData(text), letter));
  } catch (error) {
    dialog.replaceChildren(title(`Record ${name}`), el("p", { class: "note bad" }, reason(error)), close(dialog));
  }
  dialog.querySelector("h2").focus();
}

function reason(error) {
  return error instanceof Refusal ? error.message : "the sidecar does not answer";
}

function title(text) {
  return el("h2", { id: "record-title", tabindex: "-1" }, text);
}

function close(dialog) {
  return el("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close");
}

async function answerOfSupabase(block) {
  if (rowState(block.dual_write.ok, block.dual_write.error).tone !== "bad" && block.dual_write.ok !== false) return null;
  const lane = (await mirror()).lanes.find((each) => each.record_type === block.record_type);
  return lane?.dead_letters.find((letter) => letter.seq === block.seq) ?? null;
}

function content(dialog, block, data, letter) {
  const row = rowState(block.dual_write.ok, block.dual_write.error);
  return [
    title(`Record ${block.seq}`),
    el("p", {}, el("span", { class: `type ${block.record_type}` }, block.record_type), " ",
      el("span", { class: `pill ${row.tone}` }, row.title)),
    block.dual_write.error ? el("p", { class: `note ${row.tone}` }, block.dual_write.error) : null,
    letter ? supabaseSays(letter) : null,
    el("h3", {}, "Payload"),
    el("pre", { tabindex: "0", "aria-label": "Payload" }, pretty(data, "")),
    el("h3", {}, "Header"),
    el("dl", { class: "facts" }, facts(block).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("h3", {}, "Header bytes"),
    el("p", { class: "hint" }, "record_hash is the BLAKE3 hash of these bytes."),
    el("code", { class: "long" }, block.header),
    el("p", { id: "proof-error", class: "note bad", role: "alert", hidden: true }),
    el("div", { class: "tools" }, ...neighbours(block), saveProof(block.record_hash), close(dialog)),
  ].filter(Boolean);
}

function supabaseSays(letter) {
  return el("div", { class: "note bad" }, el("strong", {}, `Supabase's answer (${letter.code}): `), letter.message,
    el("br"), `${count(letter.attempts, "attempt")} since ${when(letter.since_ms)}`);
}

function facts(block) {
  return [
    ["seq", String(block.seq)],
    ["record_hash", block.record_hash],
    ["prev_hash", block.prev_hash],
    ["appended", when(block.ingested_at_ms)],
    ["timestamp_hlc", block.timestamp_hlc_text],
    ["record_id", block.record_id],
    ["payload_hash", block.payload_hash],
    ["payload_len", String(block.payload_len)],
    ["schema_version", String(block.schema_version)],
    ["flags", String(block.flags)],
  ];
}

function neighbours(block) {
  const go = (seq, text) => el("button", { type: "button", onclick: () => openRecord(seq) }, text);
  return [block.seq > 1 ? go(block.seq - 1, `Before: ${block.seq - 1}`) : null, go(block.seq + 1, `After: ${block.seq + 1}`)];
}

// A button and no link, because a link shows no key.
function saveProof(hash) {
  const save = async () => {
    const error = byId("proof-error");
    try {
      const href = URL.createObjectURL(await proof(hash));
      el("a", { href, download: `${hash}.tlog-proof` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
      error.hidden = true;
    } catch (failure) {
      error.textContent = reason(failure);
      error.hidden = false;
    }
  };
  return el("button", { type: "button", onclick: save }, "Save the proof");
}

// The data with its numbers as they were sent, where the browser tells them.
function exactData(text) {
  const exact = (_, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source ? new Exact(context.source) : value;
  return JSON.parse(text, exact).data;
}

function pretty(value, indent) {
  if (value instanceof Exact) return value.text;
  if (value === null || typeof value !== "object") return plain(JSON.stringify(value));
  const deeper = `${indent}  `;
  const isList = Array.isArray(value);
  const entries = isList ? value.map((each) => pretty(each, deeper)) :
    Object.entries(value).map(([name, each]) => `${plain(JSON.stringify(name))}: ${pretty(each, deeper)}`);
  const [open, end] = isList ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return open + end;
  return `${open}\n${entries.map((each) => deeper + each).join(",\n")}\n${indent}${end}`;
}
