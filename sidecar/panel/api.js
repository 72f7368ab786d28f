// Calls of the API. The one place that knows addresses and the key; the key is kept in memory only.

let key = null;
let askForKey = null;

// The function gives a key, or null when the person has none.
export function onKeyWanted(ask) {
  askForKey = ask;
}

// What the API said against a request: its message, and code and field if it named them.
export class Refusal extends Error {
  constructor(status, body) {
    super(body?.message ?? `the sidecar answered ${status}`);
    this.status = status;
    this.code = body?.code ?? null;
    this.field = body?.field ?? null;
  }
}

// Sends a request; asks for the key when the sidecar wants one.
export async function request(path, options = {}) {
  const shown = key;
  const headers = { ...options.headers };
  if (shown) headers.authorization = `Bearer ${shown}`;
  const response = await fetch(path, { ...options, headers, credentials: "omit", redirect: "error" });
  if (response.status === 401 && askForKey) {
    // The refusal says nothing of a key that came while this request was under way.
    if (shown !== key) return request(path, options);
    const given = await askForKey(shown !== null);
    if (given) {
      key = given;
      return request(path, options);
    }
  }
  if (response.ok) return response;
  let body = null;
  try {
    body = await response.json();
  } catch {
    // Something before the sidecar answered.
  }
  throw new Refusal(response.status, body);
}

const json = async (path, options) => (await request(path, options)).json();

export const status = (signal) => json("/v1/boboyka/status", { signal });
export const mirror = (signal) => json("/v1/boboyka/mirror", { signal });
export const lastHour = (signal) => json("/v1/boboyka/last-hour", { signal });
export const recordTypes = async () => (await json("/v1/boboyka/record-types")).record_types;
export const verify = (signal) => request("/v1/boboyka/verify", { signal });

export function events(limit, cursor, recordType, signal) {
  const query = new URLSearchParams({ limit, include: "data" });
  if (cursor) query.set("cursor", cursor);
  if (recordType) query.set("record_type", recordType);
  return json(`/v1/boboyka/events?${query}`, { signal });
}

// The record as text: numbers in it may be larger than JavaScript's.
export async function record(name) {
  return (await request(`/v1/boboyka/records/${encodeURIComponent(name)}`)).text();
}

// The proof that a record is in the transparency log, as a file.
export async function proof(hash) {
  return (await request(`/v1/boboyka/proof/${hash}`)).blob();
}

export function retry(lane) {
  const query = lane ? `?${new URLSearchParams({ lane })}` : "";
  return json(`/v1/boboyka/mirror/retry${query}`, { method: "POST" });
}

export function ingest(recordType, dataText) {
  const body = `{"record_type":${JSON.stringify(recordType)},"data":${dataText}}`;
  return json("/v1/boboyka/ingest", { method: "POST", headers: { "content-type": "application/json" }, body });
}

export function stream(after, signal) {
  const query = new URLSearchParams({ after, include: "data" });
  return request(`/v1/boboyka/stream?${query}`, { signal });
}

// The lines of an answer as they arrive.
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield* parts;
    }
    if (rest) yield rest;
  } finally {
    reader.cancel().catch(() => {});
  }
}
