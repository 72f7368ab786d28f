//! The phase in the public page's words.

use boboyka_crds::Phase;

/// The page's text for phase 1, and one as plain for the others, for a sidecar without Supabase, and for a cutover that leaves
/// projects on Supabase.
pub(crate) const PHASES: [&str; 5] = [
    "Phase 1 — dual-write (SapixDB + Supabase)",
    "Phase 1 — SapixDB only (Supabase not configured)",
    "Phase 2 — migrate internals (SapixDB is the source of truth)",
    "Phase 3 — cut over (SapixDB only)",
    "Phase 3 — cut over (SapixDB, and legacy projects on Supabase too)",
];

/// A phase, with or without a Supabase, and with or without legacy projects that are mirrored to it.
pub(crate) const fn phase_text(phase: Phase, has_supabase: bool, has_legacy: bool) -> &'static str {
    let [dual_write, sapixdb_only, migrate, cut_over, with_legacy] = PHASES;
    match phase {
        Phase::DualWrite if has_supabase => dual_write,
        Phase::DualWrite => sapixdb_only,
        Phase::MigrateInternals => migrate,
        Phase::CutOver if has_supabase && has_legacy => with_legacy,
        Phase::CutOver => cut_over,
    }
}
