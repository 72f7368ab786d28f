//! A lane's state, and its waking and resting.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{Mark, PhaseState, Store};
use boboyka_strand::{Head, RecordType, Seq};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::aside::Asides;
use super::doubt::Doubt;
use super::scan::Scan;
use super::work::Work;
use crate::breaker::Breaker;
use crate::disposition::{Guard, Limit, Patience};
use crate::preflight::Shape;
use crate::repair::Repair;
use crate::retry::Retry;
use crate::settings::Settings;
use crate::source::Configured;
use crate::status::{LaneCounters, LaneState, LaneView};
use crate::supabase::Supabase;
use crate::table::Layout;

/// How long a request in flight may go on after the shutdown.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// What a lane is started with.
pub(crate) struct Setup {
    pub(crate) record_type: RecordType,
    pub(crate) store: Store,
    pub(crate) settings: watch::Receiver<Settings>,
    pub(crate) configured: watch::Receiver<Configured>,
    pub(crate) retries: mpsc::Receiver<Retry>,
    pub(crate) repairs: mpsc::Receiver<Repair>,
    pub(crate) view: watch::Sender<LaneView>,
    pub(crate) counters: Arc<LaneCounters>,
    pub(crate) shutdown: CancellationToken,
}

/// A lane that waits, and as what.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    pub(super) state: LaneState,
    pub(super) reason: Arc<str>,
    pub(super) until: Instant,
}

/// What the lane does between two steps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// The next step at once.
    Not,
    /// Until a time, new credentials or a retry; not for new records.
    Until(Option<Instant>),
    /// Until there is a new record, at most to a time.
    Idle(Option<Instant>),
}

/// The state of a lane's task.
pub(crate) struct Lane {
    pub(super) record_type: RecordType,
    pub(super) store: Store,
    pub(super) settings: watch::Receiver<Settings>,
    pub(super) configured: watch::Receiver<Configured>,
    pub(super) retries: mpsc::Receiver<Retry>,
    pub(super) repairs: mpsc::Receiver<Repair>,
    pub(super) head: watch::Receiver<Head>,
    pub(super) phase: watch::Receiver<Option<PhaseState>>,
    pub(super) view: watch::Sender<LaneView>,
    pub(super) counters: Arc<LaneCounters>,
    pub(super) shutdown: CancellationToken,

    pub(super) supabase: Option<Arc<Supabase>>,
    /// Why there is none.
    pub(super) off_reason: Option<Arc<str>>,
    /// Where the rows go, by the settings.
    pub(super) layout: Arc<Layout>,
    pub(super) shape: Option<Arc<Shape>>,
    pub(super) shape_seen: Instant,
    /// The shape that was logged last.
    pub(super) told: Option<Arc<Shape>>,
    /// A batch failed on the table's shape although the preflight had passed.
    pub(super) shape_disputed: bool,
    pub(super) pause: Option<Pause>,
    pub(super) breaker: Breaker,
    /// Transient failures since something was accepted; the backoff grows with them.
    pub(super) failures: u32,
    /// Refusals of the key or a grant since the table was seen.
    pub(super) auth_failures: u32,
    pub(super) patience: Patience,
    pub(super) guard: Guard,
    /// The guard stopped the lane; the next row sent is a trial.
    pub(super) refused: bool,
    pub(super) limit: Limit,
    pub(super) work: Option<Work>,
    pub(super) scan: Scan,
    /// The refused rows, once they were looked for.
    pub(super) asides: Option<Asides>,
    /// No refused row is sent again before, so that new ones get their turn.
    pub(super) asides_rest: Instant,
    pub(super) doubt: Option<Doubt>,
    /// Where the last replay stopped for lack of time.
    pub(super) replayed_to: Seq,
    /// The era of the marks that all this belongs to.
    pub(super) era: u64,
}

impl Lane {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup {
            record_type,
            store,
            settings,
            configured,
            retries,
            repairs,
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
            layout: Arc::new(Layout::new(record_type, &first.tables[record_type])),
            store,
            settings,
            configured,
            retries,
            repairs,
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
            era: 0,
        };
        lane.adopt();
        lane
    }

    /// Mirrors until the shutdown.
    pub(crate) async fn run(mut self) {
        // The first turn sees the phase as it is now; that would else count as a change, and the table be looked at twice.
        self.phase.mark_unchanged();
        loop {
            let rest = self.turn().await;
            self.show();
            if self.rest(rest).await.is_break() {
                return;
            }
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.store.view().marks[self.record_type]
    }

    pub(super) fn table(&self) -> Arc<str> {
        Arc::clone(&self.layout.table)
    }

    /// Records that the phase mirrors and that are neither mirrored nor dead letters.
    pub(super) fn backlog(&self) -> u64 {
        self.store.view().backlog(self.record_type)
    }

    /// Up to where there is something to mirror.
    pub(super) fn end(&self) -> Seq {
        self.store.view().mirrored_end(self.record_type)
    }

    /// Why the phase gives the lane nothing to send, if it does not.
    pub(super) fn closed(&self) -> Option<Arc<str>> {
        let view = self.store.view();
        let Some(state) = view.phase else {
            return Some("the phase of the integration is not known yet".into());
        };
        state.mirror_until?;
        if view.backlog(self.record_type) > 0 || view.goes_on(self.record_type) {
            return None;
        }
        let (phase, end) = (state.phase, view.mirrored_end(self.record_type));
        Some(format!("the phase {phase} mirrors nothing after seq {end}").into())
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
            Layout::new(self.record_type, &settings.tables[self.record_type])
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

    /// Forgets what belongs to another era: the mark was set back, and what lies behind it is to be read again.
    pub(super) fn keep_up(&mut self) {
        let view = self.store.view();
        if view.era == self.era {
            return;
        }
        self.era = view.era;
        self.work = None;
        self.asides = None;
        self.replayed_to = 0;
        self.scan = Scan::new(Instant::now());
        let passed = view.marks[self.record_type].seq;
        self.view.send_modify(|view| {
            view.passed = passed;
            view.oldest_ms = None;
        });
    }

    /// Tries again now what would have been tried later.
    pub(super) fn hurry(&mut self) {
        self.pause = None;
        self.shape = None;
        self.shape_disputed = false;
        self.breaker.hurry();
    }

    /// Publishes how the lane is doing.
    pub(super) fn show(&self) {
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
            Some(repair) = self.repairs.recv() => self.repair(repair).await,
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
