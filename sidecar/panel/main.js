// Starts every part of the panel, and asks the sidecar how it is while somebody looks.

import { Refusal, mirror, onKeyWanted, recordTypes, status } from "./api.js";
import { showCharts } from "./charts.js";
import { breakFound, startCheck } from "./check.js";
import { byId, say } from "./dom.js";
import { askKey } from "./key.js";
import { showLanes } from "./lanes.js";
import { refreshRows, startLive } from "./live.js";
import { showMigration } from "./migration.js";
import { startTry } from "./try.js";
import { showWell } from "./well.js";

const STATUS_MS = 2000;
const CHARTS_MS = 10000;

async function lookAtStatus() {
  const now = await status();
  showWell(now, breakFound());
  showMigration(now, breakFound());
  const rejected = now.mirror.some((lane) => lane.dead_lettered + lane.set_aside > 0);
  showLanes(rejected ? (await mirror()).lanes : now.mirror);
  say(byId("foot"), `Version ${now.version} · strand ${now.strand.id}`);
  await refreshRows();
}

// Does it now and then while the page is in sight; a failure is told and tried again.
function repeat(look, ms) {
  const turn = async () => {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      failed(error);
    }
    setTimeout(turn, ms);
  };
  turn();
}

function failed(error) {
  const verdict = byId("verdict");
  verdict.shown = null;
  verdict.className = "note bad";
  say(verdict, error instanceof Refusal ? `The sidecar says: ${error.message}.` : "The sidecar does not answer. This page tries again by itself.");
}

async function start() {
  for (;;) {
    try {
      return await recordTypes();
    } catch (error) {
      failed(error);
      await new Promise((resolve) => setTimeout(resolve, STATUS_MS));
    }
  }
}

onKeyWanted(askKey);
repeat(lookAtStatus, STATUS_MS);
repeat(showCharts, CHARTS_MS);
startCheck();
const types = await start();
startTry(types);
startLive(types);
