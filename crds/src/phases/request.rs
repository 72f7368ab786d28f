//! What an integration asks for.

use crate::phase::Phase;

/// The phase that an integration asks for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The phase.
    pub phase: Phase,
    /// The generation of the integration.
    pub generation: i64,
    /// Whether the integration names a Supabase.
    pub has_supabase: bool,
    /// Whether nothing may change.
    pub suspended: bool,
}
