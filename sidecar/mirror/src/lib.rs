//! The mirror: the strand's records, copied to Supabase by four lanes, one per record type and table.
//!
//! The only path for data is strand → lane → table: an ingest never writes to Supabase itself, it waits
//! for its lane's mark to pass its seq, briefly, and not at all when the lane is known to be stuck.
//! Supabase failing is therefore data (an [`Outcome`]), never an error of an ingest. Rows carry their
//! `record_hash`, so sending one twice stores it once; each table is on its own, so a broken one stops
//! only its lane.

pub mod backoff;
pub mod breaker;
pub mod classify;
pub mod credentials;
pub mod disposition;
pub mod failure;
mod lane;
mod misfit;
pub mod preflight;
pub mod request;
pub mod row;
mod source;
mod status;
pub mod supabase;
pub mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use boboyka_strand::{RECORD_TYPES, RecordType, Seq};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use self::credentials::{Credentials, CredentialsError};
pub use self::source::{KEY_FILE, SupabaseSource, URL_FILE};
pub use self::status::{LaneCounters, LaneState, LaneStatus};
pub use self::table::{Mode, TableSettings};

use self::classify::is_final;
use self::lane::{Lane, Retry, Setup};
use self::source::{Configured, SourceWatch};
use self::status::{LaneView, as_ms, ms_until};
use boboyka_store::{ReadError, Store};
use tokio_util::sync::CancellationToken;

/// Behind so many records an ingest does not wait: they take longer than it would.
const AHEAD_MAX: u64 = 10_000;

/// Dead letters shown of each lane: enough to see what is wrong, small enough for one answer.
const DEAD_LETTERS_SHOWN: usize = 100;

/// The answer to a retry takes no longer: a request in flight (30 s), a preflight and the replay.
const RETRY_MAX: Duration = Duration::from_secs(90);

/// How the lanes work. A change is obeyed from the next batch and the next ingest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an ingest waits for its row.
    pub ack_timeout: Duration,
    /// Most rows of a request.
    pub batch_rows: usize,
    /// Most bytes of a request's body; a row that is longer goes alone. Read once, at the start.
    pub batch_bytes: usize,
    /// How long a lane waits at most after its key or grant was refused; at first it is a second.
    pub auth_recheck: Duration,
    /// How long after its table did not fit.
    pub schema_recheck: Duration,
    /// How long after its table refused too many records in a row.
    pub refused_recheck: Duration,
    /// How each record type's table differs from the product's own, in the page's order of types.
    pub tables: [TableSettings; RECORD_TYPES],
}

impl Settings {
    /// The settings of a record type's table.
    #[expect(
        clippy::indexing_slicing,
        reason = "an index is below RECORD_TYPES by its type"
    )]
    pub fn table(&self, record_type: RecordType) -> &TableSettings {
        &self.tables[record_type.index()]
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_timeout: Duration::from_secs(2),
            batch_rows: 500,
            batch_bytes: 1024 * 1024,
            auth_recheck: Duration::from_mins(5),
            schema_recheck: Duration::from_mins(1),
            refused_recheck: Duration::from_mins(1),
            tables: Default::default(),
        }
    }
}

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

/// What a retry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// Dead letters sent again.
    pub retried: u64,
    /// Of these, now in their tables.
    pub mirrored: u64,
    /// Of these, refused again.
    pub dead_lettered: u64,
}

/// Why a retry did nothing, or is not known to have done something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// There is no Supabase configured.
    #[error("supabase is not configured")]
    Disabled,
    /// The lane is in the middle of a request and does not answer.
    #[error("the lane is busy")]
    Busy,
    /// The process is ending.
    #[error("the mirror is stopping")]
    Stopping,
}

/// A handle on the lanes; cheap to clone.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    store: Store,
    settings: watch::Receiver<Settings>,
    configured: watch::Receiver<Configured>,
    lanes: [LaneHandle; RECORD_TYPES],
}

/// The outside of a lane.
struct LaneHandle {
    record_type: RecordType,
    view: watch::Sender<LaneView>,
    retries: mpsc::Sender<Retry>,
    counters: Arc<LaneCounters>,
}

impl Mirror {
    /// Starts the lanes. The task ends after `shutdown`, in a few seconds at most; should it end
    /// before, a lane has failed in a way that only a restart mends.
    pub fn start(
        store: Store,
        source: SupabaseSource,
        settings: watch::Receiver<Settings>,
        shutdown: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (source, configured) = SourceWatch::new(source);
        let mut tasks = JoinSet::new();
        let lanes = RecordType::ALL.map(|record_type| {
            let passed = store.mark(record_type).seq;
            let (view, _) = watch::channel(LaneView {
                passed,
                ..LaneView::new()
            });
            // One retry at a time is sensible; a few more may queue.
            let (retries, receiver) = mpsc::channel(4);
            let counters = Arc::new(LaneCounters::default());
            let lane = Lane::new(Setup {
                record_type,
                store: store.clone(),
                settings: settings.clone(),
                configured: configured.clone(),
                retries: receiver,
                view: view.clone(),
                counters: Arc::clone(&counters),
                shutdown: shutdown.clone(),
            });
            tasks.spawn(lane.run());
            LaneHandle {
                record_type,
                view,
                retries,
                counters,
            }
        });
        tasks.spawn(source.run(shutdown));
        let mirror = Self(Arc::new(Inner {
            store,
            settings,
            configured,
            lanes,
        }));
        (mirror, tokio::spawn(supervise(tasks)))
    }

    /// Whether new records are mirrored: "`dual_write_enabled`".
    pub fn enabled(&self) -> bool {
        let phase = self.0.store.phase();
        self.configured() && phase.is_some_and(|state| state.phase.mirrors())
    }

    /// Whether there is a Supabase to mirror to.
    pub fn configured(&self) -> bool {
        matches!(*self.0.configured.borrow(), Configured::On(_))
    }

    /// Its URL, without anything secret.
    pub fn supabase_url(&self) -> Option<String> {
        match &*self.0.configured.borrow() {
            Configured::On(supabase) => Some(supabase.url().to_owned()),
            Configured::Off(_) => None,
        }
    }

    /// What became of a record, waiting for it at most the acknowledgement's time-out, and not at all
    /// when the lane can't be in time.
    pub async fn outcome(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let lane = &self.lane(record_type).view;
        let deadline = Instant::now() + self.0.settings.borrow().ack_timeout;
        if !self.mirrors(seq) || lane.borrow().is_stuck_until(deadline) {
            return self.outcome_now(record_type, seq);
        }
        let mut view = lane.subscribe();
        if self.0.store.backlog(record_type) <= AHEAD_MAX {
            let done = view.wait_for(|view| view.passed >= seq || view.is_stuck_until(deadline));
            // The sender lives as long as `self`, and a time-out is an outcome like others.
            let _ = tokio::time::timeout_at(deadline.into(), done).await.is_ok();
        }
        self.outcome_now(record_type, seq)
    }

    /// What became of a record, as known now.
    pub fn outcome_now(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let (passed, reason, is_hanging) = {
            let view = self.lane(record_type).view.borrow();
            (view.passed, view.reason.clone(), view.is_hanging)
        };
        if passed >= seq {
            return self.settled(record_type, seq);
        }
        if !self.mirrors(seq) {
            return Outcome::Disabled;
        }
        let ahead = self.0.store.backlog(record_type);
        let reason = match reason {
            Some(reason) => format!("queued: {reason}"),
            None if is_hanging => "queued: supabase does not answer".to_owned(),
            None if ahead > AHEAD_MAX => format!("queued: behind {ahead} other records"),
            None => "queued: not mirrored yet".to_owned(),
        };
        Outcome::Queued { reason }
    }

    /// Whether a record is ever sent as things stand.
    fn mirrors(&self, seq: Seq) -> bool {
        let until = self.0.store.phase().and_then(|state| state.mirror_until);
        self.configured() && until.is_none_or(|until| seq <= until)
    }

    fn settled(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let store = &self.0.store;
        if store.mark(record_type).dead_lettered == 0 {
            return Outcome::Mirrored;
        }
        match store.dead_letter(record_type, seq) {
            Ok(None) => Outcome::Mirrored,
            Ok(Some(letter)) if !is_final(&letter.code) => Outcome::Queued {
                reason: format!(
                    "queued: refused for now ({}): {}",
                    letter.code, letter.message
                ),
            },
            Ok(Some(letter)) => Outcome::DeadLettered {
                reason: format!("refused by supabase: {}", letter.code),
            },
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(seq, error, "the dead letter of {seq} can't be looked up");
                Outcome::Queued {
                    reason: "queued: not known at the moment".to_owned(),
                }
            }
        }
    }

    /// How the lanes are doing, in the page's order of types, without dead letters: cheap enough for
    /// every scrape.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.0.lanes.iter().map(|lane| self.status(lane)).collect()
    }

    /// The same with each lane's oldest dead letters. Reads the store: not on an async thread.
    pub fn lanes_with_dead_letters(&self) -> Result<Vec<LaneStatus>, ReadError> {
        let mut lanes = self.lanes();
        for lane in lanes
            .iter_mut()
            .filter(|lane| lane.dead_lettered + lane.set_aside > 0)
        {
            let store = &self.0.store;
            lane.dead_letters = store.dead_letters(lane.record_type, 0, DEAD_LETTERS_SHOWN)?;
        }
        Ok(lanes)
    }

    /// What a lane counts since the process started, for the metrics.
    pub fn counters(&self, record_type: RecordType) -> &LaneCounters {
        &self.lane(record_type).counters
    }

    /// Wakes one lane or all, whatever they wait for, and sends their dead letters again.
    pub async fn retry(&self, lane: Option<RecordType>) -> Result<RetryReport, RetryError> {
        if !self.configured() {
            return Err(RetryError::Disabled);
        }
        let chosen = self
            .0
            .lanes
            .iter()
            .filter(|l| lane.is_none_or(|ty| ty == l.record_type));
        let deadline = tokio::time::Instant::now() + RETRY_MAX;
        let mut replies = Vec::new();
        for lane in chosen {
            let (reply, answer) = oneshot::channel();
            lane.retries
                .try_send(Retry { reply })
                .map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => RetryError::Busy,
                    mpsc::error::TrySendError::Closed(_) => RetryError::Stopping,
                })?;
            replies.push(answer);
        }
        let mut total = RetryReport::default();
        for answer in replies {
            let report = tokio::time::timeout_at(deadline, answer)
                .await
                .map_err(|_| RetryError::Busy)?
                .map_err(|_| RetryError::Stopping)?;
            total.retried += report.retried;
            total.mirrored += report.mirrored;
            total.dead_lettered += report.dead_lettered;
        }
        Ok(total)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "an index is below RECORD_TYPES by its type"
    )]
    fn lane(&self, record_type: RecordType) -> &LaneHandle {
        &self.0.lanes[record_type.index()]
    }

    fn status(&self, lane: &LaneHandle) -> LaneStatus {
        let view = lane.view.borrow().clone();
        let mark = self.0.store.mark(lane.record_type);
        let on = view.state != LaneState::Disabled;
        let now_ms = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, as_ms);
        let oldest_ms = [view.oldest_ms, view.aside_ms].into_iter().flatten().min();
        let lag_ms = oldest_ms
            .filter(|_| on)
            .map_or(0, |oldest| now_ms.saturating_sub(oldest));
        let mode = view.table_is_known().then_some(view.shape.mode);
        LaneStatus {
            record_type: lane.record_type,
            table: view.table,
            mode,
            key: view.shape.key.clone(),
            state: view.state,
            reason: view.reason.map(|reason| reason.to_string()),
            mark: mark.seq,
            head: self.0.store.head().seq,
            backlog: self.0.store.backlog(lane.record_type) + view.set_aside,
            lag_ms,
            mirrored: mark.mirrored,
            dead_lettered: mark.dead_lettered.saturating_sub(view.set_aside),
            set_aside: view.set_aside,
            retry_in_ms: view.retry_at.map(|at| ms_until(at, Instant::now())),
            lost_columns: view.shape.lost_columns.clone(),
            idempotent: view.shape.idempotent,
            guarded: view.shape.guarded,
            dead_letters: Vec::new(),
        }
    }
}

/// Ends with the first task that ends by itself, or after all have obeyed the shutdown. A panic goes on
/// in whoever awaits the task.
async fn supervise(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
