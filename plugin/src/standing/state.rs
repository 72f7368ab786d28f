//! The state of a strand in one word. Pure.

use serde::Serialize;

/// The state of a strand, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) enum State {
    /// Records are lost or altered.
    Damaged,
    /// The sidecar accepts no records.
    NotReady,
    /// The sidecar has not reported.
    Silent,
    /// A lane waits for somebody.
    MirrorStopped,
    /// Supabase rejected records permanently.
    DeadLetters,
    /// Supabase has other rows than the strand says.
    Differs,
    /// Supabase has rows that no strand wrote.
    ForeignWrites,
    /// Somebody keeps it from pods.
    Fenced,
    /// Records wait for Supabase.
    Behind,
    /// The pod starts.
    Starting,
    /// No agent holds the strand, and records wait for Supabase.
    Draining,
    /// All is well.
    Ready,
    /// No pod holds the strand, and nothing waits.
    Free,
}

impl State {
    /// Whether somebody has to act.
    pub(crate) fn is_wrong(self) -> bool {
        self <= Self::Differs
    }

    /// Whether there is anything to say about it.
    pub(crate) fn is_worth_a_look(self) -> bool {
        self < Self::Ready
    }
}
