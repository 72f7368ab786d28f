//! What became of a record's copy.

/// What became of a record's copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is no Supabase configured, or the phase does not mirror the record.
    Disabled,
    /// The row is in its table.
    Mirrored,
    /// It is not, but will be.
    Queued {
        /// Why not yet; begins with "queued".
        reason: String,
    },
    /// Supabase refuses it.
    DeadLettered {
        /// With which code.
        reason: String,
    },
}
