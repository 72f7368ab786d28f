//! What retention did and what keeps it, as the store's callers see it, and giving back the disk.

use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};

use boboyka_strand::retention::{Blocker, Policy};
use boboyka_strand::{RecordType, Seq};
use serde::{Serialize, Serializer};
use tokio::sync::oneshot;

use crate::error::WriteError;
use crate::error::causes;
use crate::floor::Floor;
use crate::queue::Job;
use crate::writer::Pruning;
use crate::{Shared, Store, pruned};

/// How retention stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetentionStatus {
    /// Records older than this may go.
    pub max_age_ms: Option<u64>,
    /// What the strand takes beyond this may go.
    pub max_size_bytes: Option<u64>,
    /// When it was last seen what may go; null before the first time.
    pub last_run_ms: Option<u64>,
    /// The newest pruned record.
    pub pruned_seq: Seq,
    /// Of the pruned records, how many Supabase never got.
    pub pruned_unmirrored: u64,
    /// What pruning gave back since the start.
    pub freed_bytes: u64,
    /// What the policy lets go and has to stay all the same, and why.
    #[serde(serialize_with = "blocker")]
    pub blocked_by: Option<Blocker>,
}

impl RetentionStatus {
    /// At the start of a store with this floor.
    pub(crate) fn begun_at(floor: &Floor) -> Self {
        Self {
            pruned_seq: floor.head.seq,
            pruned_unmirrored: floor.unmirrored.iter().sum(),
            ..Self::default()
        }
    }

    /// Takes over a policy that is looked at now.
    pub(crate) fn ran(&mut self, policy: Policy, now_ms: u64, blocked_by: Option<Blocker>) {
        self.max_age_ms = policy.max_age_ms;
        self.max_size_bytes = policy.max_size_bytes;
        self.last_run_ms = Some(now_ms);
        self.blocked_by = blocked_by;
    }
}

impl Store {
    /// Prunes what the policy lets go and nobody needs: the new floor is durable, and then the files below
    /// it are unlinked. Without a Supabase nothing waits to be mirrored.
    ///
    /// # Errors
    /// [`WriteError`] when the floor is as it was.
    pub async fn prune(&self, policy: Policy, has_supabase: bool) -> Result<(), WriteError> {
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Prune {
            policy,
            has_supabase,
            reply,
        })?;
        done.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// Where the strand begins.
    pub fn floor(&self) -> Floor {
        *self.shared.memory().floor()
    }

    /// How retention stands.
    pub fn retention(&self) -> RetentionStatus {
        *self.shared.retention()
    }
}

impl Shared {
    /// Notes what is pruned for good; the files are left to [`Shared::sweep`].
    pub(crate) fn note_pruned(&self, pruning: &Pruning) {
        let floor = pruning.floor;
        {
            let mut marks = self.marks();
            for (lane, _) in &pruning.letters {
                if let Some(mark) = marks.get_mut(lane.index()) {
                    mark.dead_lettered = mark.dead_lettered.saturating_sub(1);
                }
            }
        }
        {
            let mut status = self.retention();
            status.pruned_seq = floor.head.seq;
            status.pruned_unmirrored = floor.unmirrored.iter().sum();
        }
        tracing::info!(
            floor = floor.head.seq,
            segments = pruning.segments.len(),
            "pruned"
        );
        let paths = pruning.segments.iter().map(|gone| gone.path().to_owned());
        self.retired().extend(paths);
    }

    /// Unlinks what lies below the floor. What can't be is tried again at the next time, and at the next
    /// start. Blocking.
    pub(crate) fn sweep(&self, policy: Policy) {
        let paths = std::mem::take(&mut *self.retired());
        if paths.is_empty() {
            return;
        }
        let mut freed = 0;
        for path in paths {
            match self.pruned_index.retire(&path) {
                Ok(bytes) => freed += bytes,
                Err(error) => {
                    tracing::error!(
                        error = causes(&error),
                        "a pruned segment could not be removed"
                    );
                    self.retired().push(path);
                }
            }
        }
        let budget = pruned::budget(policy.max_size_bytes);
        if let Err(error) = self.pruned_index.finish(&self.segments_folder, budget) {
            tracing::error!(error = causes(&error), "pruning could not be finished");
        }
        self.retention().freed_bytes += freed;
    }

    fn retired(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why retention has to keep what its policy lets go, in a few words.
pub fn told(blocker: Blocker) -> String {
    match blocker {
        Blocker::Lane(lane) => format!("the lane {lane} has not mirrored it yet"),
        Blocker::DeadLetters(lane) => format!("the lane {lane} has a dead letter in it"),
        Blocker::Rollback => "a return to DualWrite would mirror it".to_owned(),
    }
}

#[derive(Serialize)]
struct BlockerView {
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<RecordType>,
    message: String,
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference to the field"
)]
fn blocker<S: Serializer>(blocker: &Option<Blocker>, serializer: S) -> Result<S::Ok, S::Error> {
    let view = blocker.map(|blocker| {
        let (by, lane) = match blocker {
            Blocker::Lane(lane) => ("lane", Some(lane)),
            Blocker::DeadLetters(lane) => ("dead_letters", Some(lane)),
            Blocker::Rollback => ("rollback", None),
        };
        BlockerView {
            by,
            lane,
            message: told(blocker),
        }
    });
    view.serialize(serializer)
}
