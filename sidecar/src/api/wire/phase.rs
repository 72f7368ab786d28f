//! The phase in the public page's words.

use boboyka_crds::Phase;

/// The page's text for phase 1, and one as plain for the others and for a sidecar without Supabase.
pub(crate) const PHASES: [&str; 4] = [
    "Phase 1 — dual-write (SapixDB + Supabase)",
    "Phase 1 — SapixDB only (Supabase not configured)",
    "Phase 2 — migrate internals (SapixDB is the source of truth)",
    "Phase 3 — cut over (SapixDB only)",
];

/// A phase, with or without a Supabase.
pub(crate) const fn phase_text(phase: Phase, has_supabase: bool) -> &'static str {
    let [dual_write, sapixdb_only, migrate, cut_over] = PHASES;
    match phase {
        Phase::DualWrite if has_supabase => dual_write,
        Phase::DualWrite => sapixdb_only,
        Phase::MigrateInternals => migrate,
        Phase::CutOver => cut_over,
    }
}
