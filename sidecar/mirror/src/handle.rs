//! The handle on the lanes: what an ingest, the API, the report and the metrics ask of the mirror.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{ReadError, Store, View, causes, now_ms};
use boboyka_strand::{RecordType, Seq};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::classify::is_final;
use crate::comparison::{Checker, CheckerSetup, ComparedLane, Request};
use crate::foreign::Foreign;
use crate::lane::{Lane, Setup};
use crate::outcome::Outcome;
use crate::parity::Parity;
use crate::repair::Repair;
use crate::retry::{Retry, RetryError, RetryReport};
use crate::settings::Settings;
use crate::source::{Configured, SourceChanges, SourceWatch, SupabaseSource};
use crate::status::{LaneCounters, LaneState, LaneStatus, LaneView, ms_until};

/// Records in front of an ingest's own for which it does not wait: they take longer than its time-out.
const AHEAD_MAX: u64 = 10_000;

/// Requests that may wait for the comparison: some for each lane.
const REQUESTS: usize = 32;

/// Dead letters shown of each lane: enough to see what is wrong, small enough for one answer.
const DEAD_LETTERS_SHOWN: usize = 100;

/// The answer to a retry takes no longer: a request in flight (30 s), a preflight and the replay.
const RETRY_MAX: Duration = Duration::from_secs(90);

/// A handle on the lanes; cheap to clone.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    store: Store,
    settings: watch::Receiver<Settings>,
    configured: watch::Receiver<Configured>,
    /// One for each type that has a table, in the page's order.
    lanes: Vec<LaneHandle>,
    /// To the task that compares the tables with the strand.
    requests: mpsc::Sender<Request>,
    foreign: watch::Receiver<Foreign>,
}

/// The outside of a lane.
struct LaneHandle {
    record_type: RecordType,
    view: watch::Sender<LaneView>,
    retries: mpsc::Sender<Retry>,
    repairs: mpsc::Sender<Repair>,
    parity: watch::Receiver<Parity>,
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
        let view = store.view();
        let mut compared = Vec::new();
        let lanes = RecordType::MIRRORED.map(|record_type| {
            let passed = view.marks[record_type].seq;
            let (shown, _) = watch::channel(LaneView {
                passed,
                ..LaneView::new()
            });
            // One retry at a time is sensible; a few more may queue.
            let (retries, receiver) = mpsc::channel(4);
            let (repairs, to_repair) = mpsc::channel(1);
            let (parity_shown, parity) = watch::channel(Parity::Unknown("not compared yet".into()));
            compared.push(ComparedLane {
                record_type,
                view: shown.subscribe(),
                shown: parity_shown,
            });
            let counters = Arc::new(LaneCounters::default());
            let lane = Lane::new(Setup {
                record_type,
                store: store.clone(),
                settings: settings.clone(),
                configured: configured.clone(),
                retries: receiver,
                repairs: to_repair,
                view: shown.clone(),
                counters: Arc::clone(&counters),
                shutdown: shutdown.clone(),
            });
            tasks.spawn(lane.run());
            LaneHandle {
                record_type,
                view: shown,
                retries,
                repairs,
                parity,
                counters,
            }
        });
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let (foreign_shown, foreign) = watch::channel(Foreign::Unknown("not counted yet".into()));
        let checker = Checker::new(CheckerSetup {
            store: store.clone(),
            settings: settings.clone(),
            configured: configured.clone(),
            requests: receiver,
            lanes: compared,
            foreign: foreign_shown,
            shutdown: shutdown.clone(),
        });
        tasks.spawn(checker.run());
        tasks.spawn(source.run(shutdown));
        let mirror = Self(Arc::new(Inner {
            store,
            settings,
            configured,
            lanes: lanes.into(),
            requests,
            foreign,
        }));
        (mirror, tokio::spawn(supervise(tasks)))
    }

    /// Whether new records are mirrored as the strand stands in a view: "`dual_write_enabled`".
    pub fn enabled(&self, view: &View) -> bool {
        self.configured() && view.phase.is_some_and(|state| state.phase.mirrors())
    }

    /// Whether there is a Supabase to mirror to.
    pub fn configured(&self) -> bool {
        matches!(*self.0.configured.borrow(), Configured::On(_))
    }

    /// Changes whenever the credentials do.
    pub fn watch_source(&self) -> SourceChanges {
        SourceChanges::of(self.0.configured.clone())
    }

    /// Scheme, host and port of its URL.
    pub fn supabase_url(&self) -> Option<String> {
        match &*self.0.configured.borrow() {
            Configured::On(supabase) => Some(supabase.origin().to_owned()),
            Configured::Off(_) => None,
        }
    }

    /// What became of a record, waiting for it at most the acknowledgement's time-out, and not at all
    /// when the lane can't be in time.
    pub async fn outcome(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let Some(lane) = self.lane(record_type) else {
            return Outcome::Disabled;
        };
        let lane = &lane.view;
        let deadline = Instant::now() + self.0.settings.borrow().ack_timeout;
        let strand = self.0.store.view();
        let may_come = strand.phase.is_some() && self.configured() && self.wants(&strand, seq);
        if !may_come || lane.borrow().is_stuck_until(deadline) {
            return self.outcome_now(record_type, seq);
        }
        let mut view = lane.subscribe();
        if strand.backlog(record_type) <= AHEAD_MAX {
            let done = view.wait_for(|view| view.passed >= seq || view.is_stuck_until(deadline));
            // The sender lives as long as `self`, and a time-out is an outcome like others.
            let _ = tokio::time::timeout_at(deadline.into(), done).await.is_ok();
        }
        self.outcome_now(record_type, seq)
    }

    /// What became of a record, as known now.
    pub fn outcome_now(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let Some(lane) = self.lane(record_type) else {
            return Outcome::Disabled;
        };
        let (passed, reason, is_hanging) = {
            let view = lane.view.borrow();
            (view.passed, view.reason.clone(), view.is_hanging)
        };
        let strand = self.0.store.view();
        let is_wanted = self.wants(&strand, seq);
        if is_wanted && passed >= seq {
            return self.settled(record_type, seq);
        }
        if !is_wanted || !self.configured() {
            return Outcome::Disabled;
        }
        let ahead = strand.backlog(record_type);
        let reason = match reason {
            Some(reason) => format!("queued: {reason}"),
            None if is_hanging => "queued: supabase does not answer".to_owned(),
            None if ahead > AHEAD_MAX => format!("queued: behind {ahead} other records"),
            None => "queued: not mirrored yet".to_owned(),
        };
        Outcome::Queued { reason }
    }

    /// Whether the phase mirrors a record. Behind the boundary it depends on the record's project, which for a record that
    /// was just appended is in memory.
    fn wants(&self, strand: &View, seq: Seq) -> bool {
        let until = strand.mirror_until();
        if until.is_none_or(|until| seq <= until) {
            return true;
        }
        let has_list = strand.phase.is_some_and(|phase| phase.legacy.is_some());
        let block = has_list.then(|| self.0.store.block(seq).ok()).flatten();
        let block = block.flatten();
        block.is_some_and(|block| self.0.store.is_mirrored(&block))
    }

    fn settled(&self, record_type: RecordType, seq: Seq) -> Outcome {
        let store = &self.0.store;
        if store.view().marks[record_type].dead_lettered == 0 {
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
                let error = causes(&error);
                tracing::warn!(
                    seq,
                    error,
                    "could not look up the dead letter of record {seq}"
                );
                Outcome::Queued {
                    reason: "queued: not known at the moment".to_owned(),
                }
            }
        }
    }

    /// How the lanes are doing as the strand stands in a view, in the page's order of types, without dead
    /// letters: cheap enough for every scrape.
    pub fn lanes(&self, view: &View) -> Vec<LaneStatus> {
        let lanes = self.0.lanes.iter();
        lanes.map(|lane| Self::status(lane, view)).collect()
    }

    /// The same with each lane's oldest dead letters. Reads the store: not on an async thread.
    pub fn lanes_with_dead_letters(&self, view: &View) -> Result<Vec<LaneStatus>, ReadError> {
        let mut lanes = self.lanes(view);
        for lane in lanes
            .iter_mut()
            .filter(|lane| lane.dead_lettered + lane.set_aside > 0)
        {
            let store = &self.0.store;
            lane.dead_letters = store.dead_letters(lane.record_type, 0, DEAD_LETTERS_SHOWN)?;
        }
        Ok(lanes)
    }

    /// What the lanes count since the process started, for the metrics.
    pub fn counters(&self) -> impl Iterator<Item = (RecordType, &LaneCounters)> {
        let lanes = self.0.lanes.iter();
        lanes.map(|lane| (lane.record_type, &*lane.counters))
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

    /// What is known of rows that no strand wrote.
    pub fn foreign(&self) -> Foreign {
        self.0.foreign.borrow().clone()
    }

    /// To the task that compares the tables with the strand.
    pub(crate) fn requests(&self) -> &mpsc::Sender<Request> {
        &self.0.requests
    }

    /// To the lane of a type, for repairs.
    pub(crate) fn repairs(&self, record_type: RecordType) -> Option<&mpsc::Sender<Repair>> {
        self.lane(record_type).map(|lane| &lane.repairs)
    }

    /// The lane of a type, if that is mirrored.
    fn lane(&self, record_type: RecordType) -> Option<&LaneHandle> {
        let mut lanes = self.0.lanes.iter();
        lanes.find(|lane| lane.record_type == record_type)
    }

    fn status(lane: &LaneHandle, strand: &View) -> LaneStatus {
        let view = lane.view.borrow().clone();
        let mark = strand.marks[lane.record_type];
        let oldest_ms = [view.oldest_ms, view.aside_ms].into_iter().flatten().min();
        let oldest_ms = oldest_ms.filter(|_| view.state != LaneState::Disabled);
        let mode = view.table_is_known().then_some(view.shape.mode);
        LaneStatus {
            record_type: lane.record_type,
            table: view.table,
            mode,
            key: view.shape.key.clone(),
            state: view.state,
            reason: view.reason.map(|reason| reason.to_string()),
            mark: mark.seq,
            head: strand.head.seq,
            backlog: strand.backlog(lane.record_type) + view.set_aside,
            lag_ms: oldest_ms.map_or(0, |oldest| now_ms().saturating_sub(oldest)),
            mirrored: mark.mirrored,
            dead_lettered: mark.dead_lettered.saturating_sub(view.set_aside),
            set_aside: view.set_aside,
            retry_in_ms: view.retry_at.map(|at| ms_until(at, Instant::now())),
            lost_columns: view.shape.lost_columns.clone(),
            idempotent: view.shape.idempotent,
            guarded: view.shape.guarded,
            parity: lane.parity.borrow().clone(),
            dead_letters: Vec::new(),
        }
    }
}

/// Ends with the first task that ends by itself, or after all have obeyed the shutdown. A panic goes on
/// in the task that awaits this one.
async fn supervise(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
