// Forms made from the record table that the sidecar serves, or raw JSON; what the sidecar says is shown at the field.

import { Refusal, ingest } from "./api.js";
import { byId, el, say } from "./dom.js";
import { openRecord } from "./record.js";
import { rowState } from "./words.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const KINDS = { text: "text", integer: "whole number", number: "number", object: "JSON object", one_of: "one of these" };

let types = [];
let type = null;
let raw = false;
const parts = {};

export function startTry(all) {
  types = all;
  const choice = (each, place) => el("label", {},
    el("input", { type: "radio", name: "try-type", value: each.record_type, checked: place === 0, onchange: () => choose(each) }),
    ` ${each.record_type}`);
  parts.raw = el("input", { type: "checkbox", id: "try-raw", onchange: toggleRaw });
  parts.fields = el("div", { class: "fields" });
  parts.answer = el("div", { role: "status", class: "answer" });
  parts.send = el("button", { type: "submit", class: "first" }, "Append the record");
  byId("try-body").append(
    el("form", { novalidate: true, onsubmit: send },
      el("fieldset", { class: "choices" }, el("legend", {}, "Record type"), types.map(choice)),
      el("label", { for: "try-raw" }, parts.raw, " as raw JSON"),
      parts.fields,
      el("div", { class: "tools" }, parts.send,
        el("button", { type: "button", onclick: () => fill(type.example) }, "Fill in the example"))),
    parts.answer);
  choose(types[0]);
}

function choose(chosen) {
  type = chosen;
  fill(type.example);
}

function toggleRaw() {
  const text = dataText();
  raw = parts.raw.checked;
  let data = type.example;
  try {
    data = JSON.parse(text);
  } catch {
    // What is no JSON can't be shown as a form.
  }
  fill(data);
}

function fill(data) {
  parts.answer.replaceChildren();
  parts.fields.replaceChildren(...(raw ? [rawField(data)] : type.fields.map((field) => formField(field, data[field.name]))));
}

function rawField(data) {
  const input = el("textarea", { id: "try-json", rows: "12", spellcheck: "false", "aria-describedby": "try-json-error" },
    JSON.stringify(data, null, 2));
  return el("div", { class: "field wide" }, el("label", { for: "try-json" }, "data"), input, errorOf("try-json"));
}

function formField(field, value) {
  const id = `try-${field.name}`;
  const given = value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const common = { id, name: field.name, "aria-describedby": `${id}-error`, "aria-required": field.required };
  const input = field.kind === "one_of" ?
    el("select", common, field.required ? null : el("option", { value: "" }),
      field.one_of.map((text) => el("option", { value: text, selected: text === given }, text))) :
    el("input", { ...common, type: "text", value: given, autocomplete: "off", spellcheck: "false",
      inputmode: field.kind === "integer" || field.kind === "number" ? "decimal" : null });
  const kind = `${field.required ? "" : "optional "}${KINDS[field.kind] ?? field.kind}`;
  return el("div", { class: "field" }, el("label", { for: id }, field.name, el("span", { class: "hint" }, ` ${kind}`)), input, errorOf(id));
}

function errorOf(id) {
  return el("p", { id: `${id}-error`, class: "error" });
}

// The data as JSON text. What a field's text is no JSON of is sent as text, so that the sidecar says what it must be.
function dataText() {
  if (raw) return byId("try-json").value;
  const entries = type.fields.flatMap((field) => {
    const text = byId(`try-${field.name}`)?.value ?? "";
    return text.trim() === "" ? [] : [`${JSON.stringify(field.name)}:${valueText(field, text.trim())}`];
  });
  return `{${entries.join(",")}}`;
}

function valueText(field, text) {
  if (field.kind === "integer" || field.kind === "number") return NUMBER.test(text) ? text : JSON.stringify(text);
  if (field.kind !== "object") return JSON.stringify(text);
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}

async function send(event) {
  event.preventDefault();
  clearErrors();
  const text = dataText();
  try {
    if (raw) JSON.parse(text);
  } catch (error) {
    return showError("try-json", `This is not JSON: ${error.message}`);
  }
  parts.send.disabled = true;
  try {
    taken(await ingest(type.record_type, text));
  } catch (error) {
    refused(error, text);
  }
  parts.send.disabled = false;
}

function taken(receipt) {
  const row = rowState(receipt.dual_write.ok, receipt.dual_write.error);
  parts.answer.replaceChildren(el("div", { class: "note good" },
    el("strong", {}, `Appended as record ${receipt.seq}. `), "It is on the disk. Supabase: ", row.title,
    receipt.dual_write.error ? ` (${receipt.dual_write.error})` : "", ". ",
    el("code", { class: "long" }, receipt.record_hash), el("br"),
    el("button", { type: "button", onclick: () => openRecord(receipt.seq) }, "Open the record")));
}

function refused(error, text) {
  if (!(error instanceof Refusal)) return general("The sidecar does not answer. Nothing is known of the record.");
  const field = error.field?.split(/[.[]/)[0];
  if (!raw && field && byId(`try-${field}`)) return showError(`try-${field}`, error.message);
  if (!raw) return general(error.message);
  showError("try-json", error.message);
  const at = field ? text.indexOf(JSON.stringify(field)) : -1;
  if (at >= 0) byId("try-json").setSelectionRange(at, at + field.length + 2);
}

function general(message) {
  parts.answer.replaceChildren(el("div", { class: "note bad" }, message));
}

function showError(id, message) {
  say(byId(`${id}-error`), message);
  byId(id).setAttribute("aria-invalid", "true");
  byId(id).focus();
  general("The sidecar did not take the record, and has written nothing.");
}

function clearErrors() {
  parts.answer.replaceChildren();
  for (const each of parts.fields.querySelectorAll(".error")) each.textContent = "";
  for (const each of parts.fields.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
}
