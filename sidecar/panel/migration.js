// The migration: the phase in force, and what the next one waits for, as far as this sidecar knows.

import { byId, count, el, number, show } from "./dom.js";
import { PHASES, phaseStep } from "./words.js";

export function showMigration(status, chainBreak) {
  const step = phaseStep(status.integration_phase);
  const made = { text: status.integration_phase, step, legacy: legacy(status), gates: gates(status, step, chainBreak) };
  show(byId("migration-body"), made, content);
}

// What Supabase is still needed for when the phase mirrors nothing else.
function legacy({ legacy_projects }) {
  return legacy_projects === 0 ? null : `New records of ${count(legacy_projects, "legacy project")} are still mirrored to Supabase.`;
}

// What must hold before the next phase comes into force.
function gates(status, step, chainBreak) {
  if (step === 2) return [];
  const backlog = status.mirror.reduce((sum, lane) => sum + lane.backlog, 0);
  const letters = status.mirror.reduce((sum, lane) => sum + lane.dead_lettered, 0);
  const damaged = status.strand.quarantined.length + status.strand.gaps.length + status.strand.scrub.damaged + (chainBreak ? 1 : 0);
  return [
    { name: "Supabase is configured", ok: status.supabase_url !== null, why: status.supabase_url ?? "the sidecar has no URL and key" },
    { name: "Everything is mirrored", ok: backlog === 0, why: backlog === 0 ? "no record waits" : `${count(backlog, "record")} wait` },
    { name: "No dead letters", ok: letters === 0, why: letters === 0 ? "Supabase rejected none" : `Supabase rejected ${number(letters)}` },
    { name: "The strand is intact", ok: damaged === 0, why: damaged === 0 ? "no damage is known" : `${count(damaged, "damaged part")}` },
  ];
}

function content({ text, step, legacy, gates }) {
  return [
    el("p", {}, text),
    ...(legacy ? [el("p", {}, legacy)] : []),
    el("ol", { class: "steps" }, PHASES.map((phase, place) => el("li", { "aria-current": place === step ? "step" : null, class: place < step ? "done" : null },
      el("strong", {}, phase.title), " ", phase.text))),
    gates.length === 0 ? el("p", {}, "This is the last phase. Going back is always possible.") :
      el("div", {}, el("h3", {}, `What “${PHASES[step + 1].title}” waits for`),
        el("ul", { class: "gates" }, gates.map((gate) => el("li", {},
          el("span", { class: `pill ${gate.ok ? "good" : "wait"}` }, gate.ok ? "open" : "closed"), " ", el("strong", {}, gate.name), `: ${gate.why}`)))),
    el("p", { class: "hint" }, "These are the gates of this strand. On Kubernetes a phase comes into force when the gates of every strand are open: ",
      el("code", {}, "kubectl describe bbi"), " names what blocks it, and changing ", el("code", {}, "spec.phase"), " asks for a phase."),
  ];
}
