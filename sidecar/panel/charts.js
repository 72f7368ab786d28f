// Three charts of the last hour. Each says its figures in words too.

import { lastHour } from "./api.js";
import { byId, duration, el, number, show, svg } from "./dom.js";

const WIDTH = 360;
const HEIGHT = 96;
const HOUR_MS = 3600000;

const CHARTS = [
  { name: "Records per second", value: (interval, intervalMs) => (interval.records * 1000) / intervalMs, text: (n) => (n >= 10 ? number(Math.round(n)) : n.toFixed(1)), sum: true },
  { name: "Commit time, 99 of 100", value: (interval) => interval.commit_p99_ms, text: (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : duration(ms)), sum: false },
  { name: "Mirror lag", value: (interval) => interval.lag_ms, text: duration, sum: true },
];

export async function showCharts() {
  const hour = await lastHour();
  const all = CHARTS.map((chart) => drawn(chart, hour));
  show(byId("charts-body"), all, (made) => made.map(figure));
}

// An interval that is not told is one in which nothing happened.
function drawn(chart, hour) {
  const begin = hour.now_ms - HOUR_MS;
  const points = hour.intervals.map((interval) => ({ ms: interval.start_ms, value: chart.value(interval, hour.interval_ms) }));
  const known = points.filter((point) => point.value !== null);
  const max = Math.max(0, ...known.map((point) => point.value));
  const path = [];
  let before = null;
  const x = (ms) => (Math.max(0, Math.min(1, (ms - begin) / HOUR_MS)) * WIDTH).toFixed(1);
  const y = (value) => (HEIGHT - 4 - (max > 0 ? value / max : 0) * (HEIGHT - 12)).toFixed(1);
  const rest = (ms) => path.push(`L${x(ms)},${y(0)}`);
  if (chart.sum) path.push(`M0,${y(0)}`);
  for (const { ms, value } of known) {
    const gap = before === null || ms - before > hour.interval_ms * 1.5;
    if (chart.sum && gap) {
      if (before !== null) rest(before + hour.interval_ms);
      rest(ms);
    }
    path.push(`${!chart.sum && gap ? "M" : "L"}${x(ms)},${y(value)}L${x(ms + hour.interval_ms)},${y(value)}`);
    before = ms;
  }
  if (chart.sum) {
    if (before !== null && before + hour.interval_ms < hour.now_ms) rest(before + hour.interval_ms);
    rest(hour.now_ms);
  }
  const newest = points.at(-1);
  const isNow = newest && newest.ms + 2 * hour.interval_ms > hour.now_ms && newest.value !== null;
  const now = isNow ? chart.text(newest.value) : chart.sum ? chart.text(0) : "no commit";
  return { name: chart.name, path: path.join(""), max: known.length > 0 ? chart.text(max) : "none", now };
}

function figure(chart) {
  const words = `${chart.name} in the last hour: now ${chart.now}, at most ${chart.max}`;
  return el("figure", {},
    el("figcaption", {}, el("strong", {}, chart.name), el("span", { class: "hint" }, ` now ${chart.now} · at most ${chart.max}`)),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words },
      svg("path", { d: `M0,${HEIGHT - 4}H${WIDTH}`, class: "axis" }),
      svg("path", { d: chart.path, class: "line" })),
    el("div", { class: "scale hint" }, el("span", {}, "1 h ago"), el("span", {}, "now")));
}
