//! A lane: the one task that copies the records of one type to their table, in the strand's order, one
//! request in flight. The invariant: its mark never passes a record that is neither in the table nor a
//! dead letter, and it sends nothing that lies behind the last seq that the phase mirrors. A crash
//! between the table and the mark sends rows again, which their `record_hash` or key makes harmless.
//!
//! Here are the lane's state and its waking and resting; one step is in `turn`, the sending in `deliver`,
//! what follows from an answer in `settle`, dead letters sent again in `replay`.

mod aside;
mod deliver;
mod doubt;
mod replay;
mod scan;
mod settle;
mod turn;
mod work;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{Mark, PhaseState, Store};
use boboyka_strand::{Head, RecordType, Seq};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::aside::Asides;
use self::doubt::Doubt;
use self::scan::Scan;
use self::work::Work;
use crate::breaker::Breaker;
use crate::disposition::{Guard, Limit, Patience};
use crate::preflight::Shape;
use crate::source::Configured;
use crate::status::{LaneCounters, LaneState, LaneView};
use crate::supabase::Supabase;
use crate::table::Layout;
use crate::{RetryReport, Settings};

/// A request in flight when the process is told to end gets so long to finish.
const GRACE: Duration = Duration::from_secs(5);

/// Somebody asks for an attempt now, and for the dead letters to be sent again.
#[derive(Debug)]
pub(super) struct Retry {
    pub(super) reply: oneshot::Sender<RetryReport>,
}

/// What a lane is started with.
pub(super) struct Setup {
    pub(super) record_type: RecordType,
    pub(super) store: Store,
    pub(super) settings: watch::Receiver<Settings>,
    pub(super) configured: watch::Receiver<Configured>,
    pub(super) retries: mpsc::Receiver<Retry>,
    pub(super) view: watch::Sender<LaneView>,
    pub(super) counters: Arc<LaneCounters>,
    pub(super) shutdown: CancellationToken,
}

/// A lane that waits, and as what.
#[derive(Clone, Debug)]
struct Pause {
    state: LaneState,
    reason: Arc<str>,
    until: Instant,
}

/// What the lane does between two steps.
#[derive(Clone, Copy, Debug)]
enum Rest {
    /// The next step at once.
    Not,
    /// Until a time, credentials or somebody's wish; not for new records.
    Until(Option<Instant>),
    /// Until there is a new record, at most to a time.
    Idle(Option<Instant>),
}

/// The state of a lane's task.
pub(super) struct Lane {
    record_type: RecordType,
    store: Store,
    settings: watch::Receiver<Settings>,
    configured: watch::Receiver<Configured>,
    retries: mpsc::Receiver<Retry>,
    head: watch::Receiver<Head>,
    phase: watch::Receiver<Option<PhaseState>>,
    view: watch::Sender<LaneView>,
    counters: Arc<LaneCounters>,
    shutdown: CancellationToken,

    supabase: Option<Arc<Supabase>>,
    /// Why there is none.
    off_reason: Option<Arc<str>>,
    /// Where the rows go, by the settings.
    layout: Arc<Layout>,
    shape: Option<Arc<Shape>>,
    shape_seen: Instant,
    /// The shape that was logged last.
    told: Option<Arc<Shape>>,
    /// A batch failed on the table's shape although the preflight had passed.
    shape_disputed: bool,
    pause: Option<Pause>,
    breaker: Breaker,
    /// Transient failures since something was accepted; the backoff grows with them.
    failures: u32,
    /// Refusals of the key or a grant since the table was seen.
    auth_failures: u32,
    patience: Patience,
    guard: Guard,
    /// The guard stopped the lane; the next row sent is a trial.
    refused: bool,
    limit: Limit,
    work: Option<Work>,
    scan: Scan,
    /// The refused rows, once they were looked for.
    asides: Option<Asides>,
    /// No refused row is sent again before, so that new ones get their turn.
    asides_rest: Instant,
    doubt: Option<Doubt>,
    /// Where the last replay stopped for lack of time.
    replayed_to: Seq,
}

impl Lane {
    pub(super) fn new(setup: Setup) -> Self {
        let Setup {
            record_type,
            store,
            settings,
            configured,
            retries,
            view,
            counters,
            shutdown,
        } = setup;
        let first = settings.borrow().clone();
        let mut lane = Self {
            record_type,
            head: store.watch_head(),
            phase: store.watch_phase(),
            limit: Limit::new(first.batch_rows, first.batch_bytes),
            layout: Arc::new(Layout::new(record_type, first.table(record_type))),
            store,
            settings,
            configured,
            retries,
            view,
            counters,
            shutdown,
            supabase: None,
            off_reason: None,
            shape: None,
            shape_seen: Instant::now(),
            told: None,
            shape_disputed: false,
            pause: None,
            breaker: Breaker::default(),
            failures: 0,
            auth_failures: 0,
            patience: Patience::default(),
            guard: Guard::default(),
            refused: false,
            work: None,
            scan: Scan::new(Instant::now()),
            asides: None,
            asides_rest: Instant::now(),
            doubt: None,
            replayed_to: 0,
        };
        lane.adopt();
        lane
    }

    /// Mirrors until the shutdown.
    pub(super) async fn run(mut self) {
        loop {
            let rest = self.turn().await;
            self.show();
            if self.rest(rest).await.is_break() {
                return;
            }
        }
    }

    fn mark(&self) -> Mark {
        self.store.mark(self.record_type)
    }

    fn table(&self) -> Arc<str> {
        Arc::clone(&self.layout.table)
    }

    /// Records that the phase mirrors and that are neither mirrored nor dead letters.
    fn backlog(&self) -> u64 {
        self.store.backlog(self.record_type)
    }

    /// Up to where there is something to mirror.
    fn end(&self) -> Seq {
        let head = self.store.head().seq;
        let until = self.store.phase().and_then(|state| state.mirror_until);
        until.map_or(head, |until| until.min(head))
    }

    /// Why the phase gives the lane nothing to send, if it does not.
    fn closed(&self) -> Option<Arc<str>> {
        let Some(state) = self.store.phase() else {
            return Some("the phase of the integration is not known yet".into());
        };
        let until = state.mirror_until?;
        (self.backlog() == 0).then(|| {
            format!(
                "the phase {} mirrors nothing after seq {until}",
                state.phase
            )
            .into()
        })
    }

    /// Takes over the credentials as they are now, and forgets what was known of the old ones.
    fn adopt(&mut self) {
        let configured = self.configured.borrow_and_update().clone();
        (self.supabase, self.off_reason) = match configured {
            Configured::On(supabase) => (Some(supabase), None),
            Configured::Off(reason) => (None, reason),
        };
        self.shape = None;
        self.shape_disputed = false;
        self.pause = None;
        self.breaker = Breaker::default();
        self.failures = 0;
        self.auth_failures = 0;
        self.patience = Patience::default();
        self.guard = Guard::default();
        self.refused = false;
        self.show();
    }

    /// Takes over a change of the table's settings; what was rendered for the old ones is read again.
    fn obey(&mut self) {
        let layout = {
            let settings = self.settings.borrow_and_update();
            Layout::new(self.record_type, settings.table(self.record_type))
        };
        if layout == *self.layout {
            return;
        }
        self.layout = Arc::new(layout);
        self.work = None;
        self.asides = None;
        self.scan = Scan::new(Instant::now());
        self.refused = false;
        self.guard = Guard::default();
        self.hurry();
    }

    /// Tries again now what would have been tried later.
    fn hurry(&mut self) {
        self.pause = None;
        self.shape = None;
        self.shape_disputed = false;
        self.breaker.hurry();
    }

    /// Publishes how the lane is doing.
    fn show(&self) {
        let closed = self.closed();
        let is_closed = closed.is_some();
        let (state, reason, retry_at) = match (&self.pause, &self.supabase) {
            (_, None) => (LaneState::Disabled, self.off_reason.clone(), None),
            (_, Some(_)) if is_closed => (LaneState::Closed, closed, None),
            (Some(pause), _) => (pause.state, Some(pause.reason.clone()), Some(pause.until)),
            (None, Some(_)) => (LaneState::Mirroring, None, None),
        };
        self.view.send_modify(|view| {
            view.state = state;
            view.reason = reason;
            view.retry_at = retry_at;
            if is_closed {
                view.oldest_ms = None;
            }
            (view.set_aside, view.aside_ms) =
                self.asides.as_ref().map_or((0, None), Asides::waiting);
            view.table = Arc::clone(&self.layout.table);
            if let Some(shape) = &self.shape {
                view.shape = Arc::clone(shape);
            }
        });
    }

    async fn rest(&mut self, rest: Rest) -> ControlFlow<()> {
        if self.shutdown.is_cancelled() {
            return ControlFlow::Break(());
        }
        let (until, for_records) = match rest {
            Rest::Not => (Some(Instant::now()), false),
            Rest::Until(until) => (until, false),
            Rest::Idle(until) => (until, true),
        };
        let sleep = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return ControlFlow::Break(()),
            // An error says that the source's task has ended, which only the shutdown makes it do.
            changed = self.configured.changed() => match changed {
                Ok(()) => self.adopt(),
                Err(_) => return ControlFlow::Break(()),
            },
            Some(retry) = self.retries.recv() => self.retry(retry).await,
            // The sender may end before the lane does, with the integration as it is.
            Ok(()) = self.settings.changed() => self.obey(),
            // The sender lives in the store.
            Ok(()) = self.phase.changed() => self.hurry(),
            () = sleep => {}
            Ok(()) = self.head.changed(), if for_records => {}
        }
        ControlFlow::Continue(())
    }
}
