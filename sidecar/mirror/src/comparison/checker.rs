//! The task that compares all lanes with their tables, one comparison at a time, at a bounded rate: it works
//! for a tenth of the time at most, or half of it while somebody waits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{PhaseState, Store, View};
use boboyka_strand::RecordType;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::found::{Table, Unknown};
use super::reach::Reach;
use super::span::compare;
use super::spans::{Job, Span, Spans};
use crate::parity::{Difference, Parity};
use crate::preflight::Shape;
use crate::settings::Settings;
use crate::source::Configured;
use crate::status::LaneView;
use crate::supabase::Supabase;
use crate::table::Layout;

/// How often a resting task looks whether the lanes have gone on.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a table's description is trusted.
const TABLE_TRUSTED: Duration = Duration::from_mins(5);

/// The first wait after a failure; it doubles up to a minute.
const FAILED_DELAY: Duration = Duration::from_secs(5);
const FAILED_DELAY_MAX: Duration = Duration::from_mins(1);

/// Times a comparison's own time that the task rests after it.
const REST_TIMES: u32 = 9;

/// What can be asked of the task.
#[derive(Debug)]
pub(crate) enum Request {
    /// To compare everything of a lane; answered when that is done, or has failed.
    Check(RecordType, oneshot::Sender<()>),
    /// For all differences that are known of a lane.
    Differences(RecordType, oneshot::Sender<Vec<Difference>>),
}

/// A lane to compare.
pub(crate) struct ComparedLane {
    pub(crate) record_type: RecordType,
    /// What the lane knows of its table.
    pub(crate) view: watch::Receiver<LaneView>,
    /// Where the result is shown.
    pub(crate) shown: watch::Sender<Parity>,
}

/// What the task is started with.
pub(crate) struct CheckerSetup {
    pub(crate) store: Store,
    pub(crate) settings: watch::Receiver<Settings>,
    pub(crate) configured: watch::Receiver<Configured>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) lanes: Vec<ComparedLane>,
    pub(crate) shutdown: CancellationToken,
}

/// What is known of one lane.
struct Lane {
    record_type: RecordType,
    view: watch::Receiver<LaneView>,
    shown: watch::Sender<Parity>,
    spans: Spans,
    table: Option<(Arc<Table>, Instant)>,
    /// The phase and the reach that the spans belong to.
    phase: Option<PhaseState>,
    reach: Option<Reach>,
    /// Failures in a row, and until when nothing is tried.
    failures: u32,
    not_before: Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

/// The task.
pub(crate) struct Checker {
    store: Store,
    settings: watch::Receiver<Settings>,
    configured: watch::Receiver<Configured>,
    requests: mpsc::Receiver<Request>,
    shutdown: CancellationToken,
    lanes: Vec<Lane>,
    rest_until: Instant,
}

impl Checker {
    pub(crate) fn new(setup: CheckerSetup) -> Self {
        let now = Instant::now();
        let lane = |lane: ComparedLane| Lane {
            record_type: lane.record_type,
            view: lane.view,
            shown: lane.shown,
            spans: Spans::default(),
            table: None,
            phase: None,
            reach: None,
            failures: 0,
            not_before: now,
            waiting: Vec::new(),
        };
        Self {
            store: setup.store,
            settings: setup.settings,
            configured: setup.configured,
            requests: setup.requests,
            shutdown: setup.shutdown,
            lanes: setup.lanes.into_iter().map(lane).collect(),
            rest_until: now,
        }
    }

    /// Compares until the shutdown.
    pub(crate) async fn run(mut self) {
        loop {
            let shutdown = self.shutdown.clone();
            let until = tokio::select! {
                () = shutdown.cancelled() => return,
                until = self.step() => until,
            };
            if self.rest(until).await.is_break() {
                return;
            }
        }
    }

    async fn rest(&mut self, until: Option<Instant>) -> ControlFlow<()> {
        let sleep = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => return ControlFlow::Break(()),
            changed = self.configured.changed() => match changed {
                Ok(()) => self.lanes.iter_mut().for_each(Lane::forget),
                Err(_) => return ControlFlow::Break(()),
            },
            // The sender may end before this task does, with the integration as it is.
            Ok(()) = self.settings.changed() => self.lanes.iter_mut().for_each(Lane::forget),
            Some(request) = self.requests.recv() => self.take(request),
            () = sleep => {}
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, request: Request) {
        let view = self.store.view();
        let (of, ask) = match &request {
            Request::Check(of, _) => (*of, true),
            Request::Differences(of, _) => (*of, false),
        };
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.record_type == of) else {
            return;
        };
        if ask {
            lane.look(&view);
            let up_to = lane.reach.map_or(0, |reach| reach.up_to);
            lane.spans.ask(Instant::now(), up_to);
            // Somebody changed something: what was known of the table may be old.
            lane.table = None;
            (lane.failures, lane.not_before) = (0, Instant::now());
            self.rest_until = Instant::now();
        }
        match request {
            Request::Check(_, reply) => lane.waiting.push(reply),
            Request::Differences(_, reply) => {
                // The caller may have gone.
                let _ = reply.send(lane.spans.differences().collect());
            }
        }
    }

    /// Makes the comparison that is due, if one is; when to look again.
    async fn step(&mut self) -> Option<Instant> {
        let configured = self.configured.borrow_and_update().clone();
        let supabase = match configured {
            Configured::On(supabase) => supabase,
            Configured::Off(reason) => {
                let reason = reason.unwrap_or_else(|| "supabase is not configured".into());
                self.lanes
                    .iter_mut()
                    .for_each(|lane| lane.is_unknown(&reason));
                return None;
            }
        };
        let (view, now) = (self.store.view(), Instant::now());
        let due = self.lanes.iter_mut().enumerate();
        let due = due.filter_map(|(place, lane)| Some((lane.due(&view, now)?, place)));
        let next = due.min();
        let look = now + LOOK_INTERVAL;
        let Some((at, place)) = next else {
            return Some(look);
        };
        let at = at.max(self.rest_until);
        if at > now {
            return Some(at.min(look));
        }
        let settings = self.settings.borrow().clone();
        if let Some(lane) = self.lanes.get_mut(place) {
            let layout = Layout::new(lane.record_type, &settings.tables[lane.record_type]);
            lane.compare_next(&self.store, supabase, layout, &view)
                .await;
        }
        let took = now.elapsed();
        let asked = self.lanes.iter().any(|lane| lane.spans.is_asked());
        let rest = if asked { took } else { took * REST_TIMES };
        self.rest_until = Instant::now() + rest;
        Some(self.rest_until)
    }
}

impl Lane {
    /// Takes over how far the lane has come; begins anew when the phase has changed.
    fn look(&mut self, view: &View) {
        if self.phase != view.phase {
            self.spans = Spans::default();
            self.reach = None;
            self.phase = view.phase;
        }
        let (now, before) = (Reach::of(view, self.record_type), self.reach);
        // In one phase a lane that was settled stays so, although an idle lane's mark lags behind.
        let reach = before.map_or(now, |before| Reach {
            settled: now.settled.max(before.settled),
            up_to: now.up_to.max(before.up_to),
        });
        self.reach = Some(reach);
        self.spans.prune(view.floor.head.seq);
    }

    /// When the next comparison is due; `None` while the phase is not known.
    fn due(&mut self, view: &View, now: Instant) -> Option<Instant> {
        self.look(view);
        if view.phase.is_none() {
            self.is_unknown(&"the phase of the integration is not known yet".into());
            return None;
        }
        let reach = self.reach?;
        let (at, _) = self.spans.next(view.floor.head.seq, reach, now);
        if !self.spans.is_asked() {
            self.answer();
        }
        Some(at.max(self.not_before))
    }

    async fn compare_next(
        &mut self,
        store: &Store,
        supabase: Arc<Supabase>,
        layout: Layout,
        view: &View,
    ) {
        let Some(reach) = self.reach else { return };
        let (_, job) = self.spans.next(view.floor.head.seq, reach, Instant::now());
        let mut compared = self
            .compare_with(store, &supabase, &layout, job, reach, false)
            .await;
        if compared
            .as_ref()
            .is_err_and(|unknown| unknown.table_differs)
        {
            self.table = None;
            compared = self
                .compare_with(store, &supabase, &layout, job, reach, true)
                .await;
        }
        match compared {
            Ok((table, span)) => {
                self.failures = 0;
                self.spans.compared(span, reach.up_to);
                let known = self
                    .spans
                    .parity(view.floor.head.seq, &table.columns.unchecked);
                let shown = known.map_or_else(
                    || Parity::Unknown("not all records have been compared yet".into()),
                    Parity::Known,
                );
                self.show(shown);
            }
            Err(unknown) => {
                self.table = None;
                let delay = FAILED_DELAY * 2_u32.pow(self.failures.min(4));
                self.failures += 1;
                self.not_before = Instant::now() + delay.min(FAILED_DELAY_MAX);
                self.is_unknown(&unknown.reason.into());
            }
        }
    }

    /// Compares with what the lane knows of its table, or with a fresh look at it.
    async fn compare_with(
        &mut self,
        store: &Store,
        supabase: &Arc<Supabase>,
        layout: &Layout,
        job: Job,
        reach: Reach,
        fresh: bool,
    ) -> Result<(Arc<Table>, Span), Unknown> {
        let table = self.table(supabase, layout, store, fresh).await?;
        let span = compare(store, self.record_type, &table, job, reach).await?;
        Ok((table, span))
    }

    async fn table(
        &mut self,
        supabase: &Arc<Supabase>,
        layout: &Layout,
        store: &Store,
        fresh: bool,
    ) -> Result<Arc<Table>, Unknown> {
        if let Some((table, at)) = &self.table
            && at.elapsed() < TABLE_TRUSTED
            && table.layout == *layout
        {
            return Ok(Arc::clone(table));
        }
        let known = {
            let view = self.view.borrow();
            let known = view.table_is_known() && view.table == layout.table && !fresh;
            known.then(|| Shape::clone(&view.shape))
        };
        let (supabase, layout) = (Arc::clone(supabase), layout.clone());
        let table = Table::look(supabase, layout, known, store.strand_id()).await?;
        let table = Arc::new(table);
        if self
            .table
            .as_ref()
            .is_some_and(|(known, _)| known.shape.mode != table.shape.mode)
        {
            self.spans = Spans::default();
        }
        self.table = Some((Arc::clone(&table), Instant::now()));
        Ok(table)
    }

    /// Says why nothing is known; nobody needs to wait any more.
    fn is_unknown(&mut self, reason: &Arc<str>) {
        self.show(Parity::Unknown(Arc::clone(reason)));
        self.answer();
    }

    /// Tells those who wait that there is nothing more to wait for.
    fn answer(&mut self) {
        for reply in self.waiting.drain(..) {
            // The caller may have gone.
            let _ = reply.send(());
        }
    }

    fn show(&self, parity: Parity) {
        self.tell(&parity);
        self.shown.send_replace(parity);
    }

    /// Logs what people have to look at, once.
    fn tell(&self, now: &Parity) {
        let lane = self.record_type.name();
        let differed = self.shown.borrow().known().is_some_and(|it| !it.is_equal());
        match now.known() {
            Some(it) if !it.is_equal() && !differed => tracing::warn!(
                lane,
                missing = it.missing,
                changed = it.changed,
                extra = it.extra,
                doubled = it.doubled,
                "the table of lane {lane} differs from the strand: GET /v1/boboyka/mirror shows the rows"
            ),
            Some(it) if it.is_equal() && differed => {
                tracing::info!(
                    lane,
                    "the table of lane {lane} is equal to the strand again"
                );
            }
            _ => {}
        }
    }

    /// Other credentials or settings: nothing is known any more.
    fn forget(&mut self) {
        self.spans = Spans::default();
        self.table = None;
        (self.failures, self.not_before) = (0, Instant::now());
        self.show(Parity::Unknown("not compared yet".into()));
    }
}
