//! What callers and the background thread ask of the writer.

use boboyka_strand::retention::{PayloadAges, Policy};
use boboyka_strand::{Record, RecordType, Seq};
use tokio::sync::oneshot;

use crate::append::{Appended, KeyConflict, NewRecord};
use crate::error::WriteError;
use crate::incarnation::Incarnation;
use crate::key::IdempotencyKey;
use crate::lane::{DeadLetter, Mark};
use crate::phase::{ListChange, PhaseChange, PhaseState};
use crate::quarantine::Quarantined;
use crate::retention::{Counted, Needed};
use crate::segment::Segment;
use crate::strip::Stripped;

/// The answer to an append: one result for each record, in order.
pub(crate) type AppendReply = Result<Vec<Result<Appended, KeyConflict>>, WriteError>;
/// The answer to a change of phase: the state that is in force now.
pub(crate) type PhaseReply = Result<PhaseState, WriteError>;
/// A caller that waits for a change to be durable.
pub(crate) type Waiter = oneshot::Sender<Result<(), WriteError>>;

/// A caller that waits for a segment to be stripped; whether there may be another one.
pub(crate) type StripWaiter = oneshot::Sender<Result<bool, WriteError>>;

/// One job of the writer.
pub(crate) enum Job {
    Append {
        records: Vec<NewRecord>,
        /// The key that all records share.
        unit: Option<IdempotencyKey>,
        reply: oneshot::Sender<AppendReply>,
    },
    Lane {
        change: LaneChange,
        /// When the lane looked at its mark: what it did in another era counts no more.
        era: u64,
        reply: Waiter,
    },
    Phase {
        change: PhaseChange,
        reply: oneshot::Sender<PhaseReply>,
    },
    Prune {
        policy: Policy,
        needed: Needed,
        /// What was counted for it; empty before.
        counted: Counted,
        reply: Waiter,
    },
    /// Have the oldest segment stripped that the ages let go.
    Strip {
        ages: PayloadAges,
        needed: Needed,
        reply: StripWaiter,
    },
    /// A segment was written anew.
    Stripped {
        stripped: Box<Stripped>,
        reply: StripWaiter,
    },
    /// Record in the strand what lies in quarantine, unless that is done.
    Quarantined {
        found: Quarantined,
        reply: Waiter,
    },
    /// Begin an incarnation of the transparency log, or note what is new of it; the record tells of the one before.
    Incarnation {
        incarnation: Incarnation,
        record: Option<Record>,
        reply: Waiter,
    },
    Sealed(Box<Segment>),
    SealFailed,
    /// The ledger was written, and the journal's files before a frame are free; `None` when it could not be written.
    Checkpointed(Option<u64>),
}

impl Job {
    /// The records that it appends.
    pub(crate) fn records(&self) -> &[NewRecord] {
        match self {
            Self::Append { records, .. } => records,
            Self::Lane { .. }
            | Self::Phase { .. }
            | Self::Prune { .. }
            | Self::Strip { .. }
            | Self::Stripped { .. }
            | Self::Quarantined { .. }
            | Self::Incarnation { .. }
            | Self::Sealed(_)
            | Self::SealFailed
            | Self::Checkpointed(_) => &[],
        }
    }
}

impl Job {
    /// Whether it brings a list of legacy projects that names one.
    pub(crate) fn has_list(&self) -> bool {
        let Self::Phase { change, .. } = self else {
            return false;
        };
        let list = change.list.as_ref();
        list.is_some_and(|change| !change.list.is_empty())
    }

    /// Whether it may change the list of legacy projects.
    pub(crate) fn changes_list(&self) -> bool {
        matches!(self, Self::Phase { change, .. } if change.list.is_some())
    }

    /// What it takes in a frame at most, beside records.
    pub(crate) fn small_bytes(&self) -> usize {
        let letter = |letter: &DeadLetter| SMALL_BYTES + letter.code.len() + letter.message.len();
        SMALL_BYTES
            + match self {
                Self::Lane { change, .. } => match change {
                    LaneChange::Advance { letters, .. } => letters.iter().map(letter).sum(),
                    LaneChange::Replace(replaced) => letter(replaced),
                    LaneChange::Resolve { .. } => 0,
                },
                Self::Quarantined { found, .. } => 2 * found.reason.len(),
                Self::Incarnation { record, .. } => record
                    .as_ref()
                    .map_or(0, |record| 2 * record.payload().len()),
                Self::Phase { change, .. } => change.list.as_ref().map_or(0, list_bytes),
                Self::Stripped { .. } => SMALL_BYTES,
                Self::Append { .. }
                | Self::Prune { .. }
                | Self::Strip { .. }
                | Self::Sealed(_)
                | Self::SealFailed
                | Self::Checkpointed(_) => 0,
            }
    }

    /// Answers every caller that nothing was done.
    pub(crate) fn refuse(jobs: Vec<Self>, error: WriteError) {
        for job in jobs {
            match job {
                Self::Append { reply, .. } => drop(reply.send(Err(error))),
                Self::Lane { reply, .. }
                | Self::Prune { reply, .. }
                | Self::Quarantined { reply, .. }
                | Self::Incarnation { reply, .. } => {
                    let _ = reply.send(Err(error));
                }
                Self::Phase { reply, .. } => drop(reply.send(Err(error))),
                Self::Strip { reply, .. } => {
                    let _ = reply.send(Err(error));
                }
                // The file is written again another time.
                Self::Stripped { stripped, reply } => {
                    stripped.discard();
                    let _ = reply.send(Err(error));
                }
                Self::Sealed(_) | Self::SealFailed | Self::Checkpointed(_) => {}
            }
        }
    }

    /// Whether somebody waits for its answer.
    pub(crate) fn has_caller(&self) -> bool {
        !matches!(
            self,
            Self::Sealed(_) | Self::SealFailed | Self::Checkpointed(_)
        )
    }
}

/// More than a change of a fixed length takes in a frame.
const SMALL_BYTES: usize = 2 * 1024;

/// What stands around a name of a list, and its first span.
const NAME_BYTES: usize = 64;

/// A change of what the store keeps of a lane.
pub(crate) enum LaneChange {
    Advance {
        lane: RecordType,
        mark: Mark,
        letters: Vec<DeadLetter>,
    },
    Resolve {
        lane: RecordType,
        seq: Seq,
        mark: Mark,
    },
    Replace(DeadLetter),
}

/// What the names of a list take in its stored form, each with its first span.
fn list_bytes(change: &ListChange) -> usize {
    let names = change.list.names().iter();
    names.map(|name| name.len() + NAME_BYTES).sum()
}
