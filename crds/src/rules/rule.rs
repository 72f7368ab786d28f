//! One rule, and what it looks at.

use crate::integration::BoboykaIntegrationSpec;

/// What a rule looks at.
pub(crate) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) spec: &'a BoboykaIntegrationSpec,
}

/// One rule.
pub(crate) struct Rule {
    /// Path of the object whose schema carries the rule, as properties from the root.
    pub(crate) at: &'static [&'static str],
    /// Path of the field that the message names.
    pub(crate) field: &'static str,
    /// The message of a violation.
    pub(crate) message: &'static str,
    /// The expression that the API server evaluates.
    pub(crate) cel: &'static str,
    /// The same check in Rust. `None` when only the API server can check it, or when an integration that was stored before
    /// the rule can work in spite of it.
    pub(super) is_kept: Option<fn(&Subject<'_>) -> bool>,
}
