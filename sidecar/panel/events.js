// The stream of records: reads server-sent events, and comes back where it was when it is cut off.

import { Refusal, lines, stream } from "./api.js";

const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 15000;

// Follows the strand after a seq until the signal. `on` has record, missing, state and lost: the last is called when the
// strand does not know the seq, and ends the following.
export async function follow(after, signal, on) {
  let at = after;
  let pause = PAUSE_MS;
  while (!signal.aborted) {
    try {
      const response = await stream(at, signal);
      on.state("live");
      pause = PAUSE_MS;
      for await (const event of parsed(response)) {
        if (event.id !== null) at = event.id;
        if (event.name === "record") on.record(JSON.parse(event.data));
        else if (event.name === "missing") on.missing(JSON.parse(event.data));
        else if (event.name === "end") on.state("wait", JSON.parse(event.data).message);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.code === "bad_parameter") return on.lost();
      on.state("wait", error instanceof Refusal ? error.message : "the sidecar does not answer");
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, PAUSE_MAX_MS);
  }
}

async function* parsed(response) {
  let event = { id: null, name: "message", data: "" };
  for await (const line of lines(response)) {
    if (line === "") {
      if (event.data || event.id !== null) yield event;
      event = { id: null, name: "message", data: "" };
      continue;
    }
    const at = line.indexOf(":");
    const value = line.slice(at + 1).replace(/^ /, "");
    const name = line.slice(0, at);
    if (name === "id") event.id = Number(value);
    else if (name === "event") event.name = value;
    else if (name === "data") event.data += value;
  }
}
