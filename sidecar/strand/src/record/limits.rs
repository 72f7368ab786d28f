//! What a payload may be, and what callers may not send.

/// The key under which a payload carries its record type's name; callers may not send it.
pub const TYPE_TAG: &str = "_boboyka_type";

/// The longest payload, in bytes of `MessagePack`.
pub const PAYLOAD_MAX_BYTES: usize = 1024 * 1024;

/// The deepest nesting of objects and lists: far more than people write, far less than a stack holds.
pub const DEPTH_MAX: usize = 64;

/// The agent of the `audit_log` records that a strand makes of itself. No caller may use it: a check of a strand, and
/// whoever reads it, relies on what these records say.
pub const OWN_AGENT: &str = "boboyka_sidecar";
