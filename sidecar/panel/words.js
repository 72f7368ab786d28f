// What the API's words mean for a person, and what to do next.

const STATES = {
  disabled: {
    tone: "off",
    title: "off",
    text: "No Supabase is configured.",
    next: "To mirror, start the sidecar with BOBOYKA_SUPABASE_URL and BOBOYKA_SUPABASE_KEY, or with --supabase-dir.",
  },
  closed: {
    tone: "off",
    title: "closed",
    text: "The phase leaves nothing to mirror, or the sidecar does not know the phase yet.",
    next: null,
  },
  mirroring: { tone: "good", title: "mirroring", text: "The lane sends records, or has none to send.", next: null },
  backing_off: {
    tone: "wait",
    title: "backing off",
    text: "The lane waits after a failed request. It tries again by itself.",
    next: "Nothing, unless it lasts. Then check that Supabase can be reached from here.",
  },
  open: {
    tone: "bad",
    title: "circuit open",
    text: "Requests failed repeatedly. The lane probes now and then, and goes on by itself once Supabase answers.",
    next: "Check that Supabase is up and can be reached from here.",
  },
  auth_failed: {
    tone: "bad",
    title: "key rejected",
    text: "Supabase rejected the key or a grant.",
    next: "Put the right service key into the environment or the folder of --supabase-dir. Files are read again by themselves.",
  },
  schema_mismatch: {
    tone: "bad",
    title: "table does not fit",
    text: "The table does not accept the rows.",
    next: "Run sidecar/supabase/schema.sql in the SQL editor of the project, then retry.",
  },
  refused: {
    tone: "bad",
    title: "refused",
    text: "The table rejected too many records in a row.",
    next: "Read Supabase's answers below, remove the cause, then retry.",
  },
};

export function laneState(state) {
  return STATES[state] ?? { tone: "wait", title: state, text: "A newer sidecar knows this state.", next: null };
}

// What became of a record's row, from the two fields of the events feed.
export function rowState(ok, error) {
  if (ok === true) return { tone: "good", title: "mirrored" };
  if (ok === null || ok === undefined) return { tone: "off", title: "not mirrored" };
  if (String(error).startsWith("queued")) return { tone: "wait", title: "queued" };
  return { tone: "bad", title: "refused" };
}

const DAMAGE = "Keep the data folder as it is, and read the log. The records in Supabase are not touched by this.";

// Everything that is not well, worst first: what is wrong, and what to do next.
export function troubles(status, chainBreak) {
  const { strand, mirror, retention, archive, clock } = status;
  const found = [];
  const add = (tone, text, next) => found.push({ tone, text, next });
  if (chainBreak) add("bad", chainBreak, DAMAGE);
  if (strand.gaps.length > 0) {
    const lost = strand.gaps.reduce((sum, gap) => sum + gap.last - gap.first + 1, 0);
    add("bad", `The disk has lost ${lost} acknowledged ${lost === 1 ? "record" : "records"}.`, DAMAGE);
  }
  if (strand.scrub.damaged > 0) add("bad", `Reading the strand again found ${strand.scrub.damaged} damaged part(s).`, DAMAGE);
  for (const each of strand.quarantined) add("bad", `Damaged files are in quarantine: ${each.folder}: ${each.reason}`, DAMAGE);
  for (const lane of mirror) {
    const state = laneState(lane.state);
    if (state.tone === "bad") add("bad", `Lane ${lane.record_type}: ${state.title}. ${lane.reason ?? ""}`, state.next);
    if (lane.dead_lettered > 0) {
      const letters = `${lane.dead_lettered} ${lane.dead_lettered === 1 ? "record" : "records"}`;
      add("bad", `Lane ${lane.record_type}: Supabase rejected ${letters} permanently.`, "Read the answers under Lanes, remove the cause, then retry.");
    }
    if (state.tone === "wait") add("wait", `Lane ${lane.record_type}: ${state.title}. ${lane.reason ?? ""}`, state.next);
  }
  if (archive?.error) add("wait", `The strand can't be archived: ${archive.error.message}.`, null);
  const kept = retention.blocked_by ?? retention.payloads_blocked_by;
  if (retention.hold) {
    add("wait", "A legal hold keeps every record: retention prunes nothing.", "To lift it, remove spec.retention.hold of the integration.");
  } else if (kept) add("wait", `Retention waits: ${kept.message}.`, null);
  if (clock.ahead_ms > 5000) {
    add("wait", "The clock of this machine went back. New records keep the later time until it has caught up.", "Check the clock.");
  }
  return found;
}

export const PHASES = [
  { name: "DualWrite", title: "1 · Dual write", text: "Records go to the strand, and are mirrored to Supabase." },
  { name: "MigrateInternals", title: "2 · Migrate internals", text: "Boboyka reads from SapixDB; the mirror goes on." },
  { name: "CutOver", title: "3 · Cut over", text: "SapixDB only. Supabase gets nothing more, but for legacy projects." },
];

// The step that the text of the status names, 0 to 2.
export function phaseStep(text) {
  const digit = Number(/^Phase ([123])/.exec(text)?.[1] ?? 1);
  return digit - 1;
}
