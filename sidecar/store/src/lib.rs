//! The store: the one door to the strand on disk.
//!
//! The invariant: `mark ≤ head` in every lane, `floor ≤ mirrored ≤ head` while the phase mirrors, and what is
//! acknowledged is durable. The store answers an append after it has written the commit to the journal and synced it;
//! readers see only what is durable. The newest blocks lie in the journal, older ones in sealed segments, the oldest were
//! pruned and the floor says where the strand begins since. After a write that failed, the store acknowledges
//! nothing any more (it is poisoned).
//!
//! The crate starts three threads of its own and knows no async runtime, no HTTP and no Kubernetes client.

mod anchor;
mod append;
mod archive;
mod background;
mod binding;
mod change;
mod checksum;
mod clock;
mod commits;
mod counts;
mod error;
mod files;
mod floor;
mod format;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod gap;
mod gather;
mod incarnation;
mod job;
mod journal;
mod keeping;
mod key;
mod keys;
mod lane;
mod ledger;
mod legacy;
mod lock;
mod memory;
mod mirrored;
mod open;
mod options;
mod owing;
mod own;
mod page;
mod past;
mod phase;
mod poison;
mod predecessors;
mod proving;
mod pruned;
mod pruning;
mod quarantine;
mod queue;
mod read;
mod recent;
mod retention;
mod scrub;
mod seal;
mod segment;
mod shared;
mod signing;
mod state;
mod store;
mod stored;
mod strip;
mod summary;
mod tail;
mod tail_run;
#[cfg(test)]
mod tests;
mod tlog;
mod tree_check;
mod verify;
mod versions;
mod view;
mod witness;
mod writer;

pub use boboyka_crds::Phase;

pub use append::{Appended, KeyConflict, NewRecord};
pub use archive::{ArchiveNeed, Sealed, UNFINISHED_RESTORE, check_sealed, sealed_identity};
pub use checksum::checksum;
pub use clock::now_ms;
pub use commits::Committed;
pub use error::{OpenError, ReadError, TailError, TlogError, WriteError, causes};
pub use floor::Floor;
pub use forward::{Forward, ForwardQuery};
pub use gap::Gap;
pub use incarnation::Compared;
pub use key::{IdempotencyKey, KEY_MAX_BYTES};
pub use lane::{DeadLetter, Mark};
pub use legacy::{Departed, LegacyState};
pub use options::Options;
pub use page::{Missing, Page, PageQuery};
pub use past::{AsOf, Counts, History, HistoryQuery, MomentError, States, StatesQuery, Version};
pub use phase::{ListChange, PhaseChange, PhaseState};
pub use predecessors::Predecessor;
pub use quarantine::{Quarantined, quarantined_in};
pub use read::{LaneRead, RecordName};
pub use retention::{Needed, RetentionStatus};
pub use signing::Published;
pub use store::{Proof, Store, TlogKey, TlogStatus, prove_offline, root_offline, verify_offline};
pub use verify::Verdict;
pub use view::{Footprint, Owed, ScrubStatus, View};
