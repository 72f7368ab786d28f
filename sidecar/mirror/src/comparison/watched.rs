//! One lane of the comparison: what is known of it, and the next comparison of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{PhaseState, Store, View};
use boboyka_strand::RecordType;
use tokio::sync::{oneshot, watch};

use super::found::{Table, Unknown};
use super::reach::Reach;
use super::span::compare;
use super::spans::{Job, Span, Spans};
use crate::parity::{Difference, Parity};
use crate::preflight::Shape;
use crate::status::{LaneState, LaneView};
use crate::supabase::Supabase;
use crate::table::Layout;

/// How long a table's description is trusted.
const TABLE_TRUSTED: Duration = Duration::from_mins(5);

/// The first wait after a failure; it doubles up to a minute.
const FAILED_DELAY: Duration = Duration::from_secs(5);
const FAILED_DELAY_MAX: Duration = Duration::from_mins(1);

/// The wait for a lane that is about to look at its table.
const SOON: Duration = Duration::from_millis(500);

/// A lane to compare.
pub(crate) struct ComparedLane {
    pub(crate) record_type: RecordType,
    /// What the lane knows of its table.
    pub(crate) view: watch::Receiver<LaneView>,
    /// Where the result is shown.
    pub(crate) shown: watch::Sender<Parity>,
}

/// What is known of one lane.
pub(super) struct WatchedLane {
    pub(super) record_type: RecordType,
    view: watch::Receiver<LaneView>,
    shown: watch::Sender<Parity>,
    spans: Spans,
    /// The table that the spans were compared with, and until when it need not be looked at again.
    table: Option<Arc<Table>>,
    trusted_until: Instant,
    /// The phase and the reach that the spans belong to.
    phase: Option<PhaseState>,
    reach: Option<Reach>,
    /// Failures in a row, and until when nothing is tried.
    failures: u32,
    not_before: Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

impl WatchedLane {
    pub(super) fn new(lane: ComparedLane) -> Self {
        Self {
            record_type: lane.record_type,
            view: lane.view,
            shown: lane.shown,
            spans: Spans::default(),
            table: None,
            trusted_until: Instant::now(),
            phase: None,
            reach: None,
            failures: 0,
            not_before: Instant::now(),
            waiting: Vec::new(),
        }
    }

    /// Has everything compared again, for somebody who waits.
    pub(super) fn ask(&mut self, view: &View, reply: oneshot::Sender<()>) {
        self.look(view);
        let up_to = self.reach.map_or(0, |reach| reach.up_to);
        self.spans.ask(Instant::now(), up_to);
        // Somebody changed something: what was known of the table may be old.
        self.trusted_until = Instant::now();
        (self.failures, self.not_before) = (0, Instant::now());
        self.waiting.push(reply);
    }

    /// Whether somebody waits for a comparison.
    pub(super) fn is_asked(&self) -> bool {
        self.spans.is_asked()
    }

    /// All differences that are known.
    pub(super) fn differences(&self) -> Vec<Difference> {
        self.spans.differences().collect()
    }

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
    pub(super) fn due(&mut self, view: &View, now: Instant) -> Option<Instant> {
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

    /// Makes the comparison that is due; whether it could be made.
    pub(super) async fn compare_next(
        &mut self,
        store: &Store,
        supabase: Arc<Supabase>,
        layout: Layout,
        view: &View,
    ) -> bool {
        let Some(reach) = self.reach else {
            return true;
        };
        let (_, job) = self.spans.next(view.floor.head.seq, reach, Instant::now());
        let mut compared = self
            .compare_with(store, &supabase, &layout, job, reach, false)
            .await;
        if compared
            .as_ref()
            .is_err_and(|unknown| unknown.table_differs)
        {
            self.trusted_until = Instant::now();
            compared = self
                .compare_with(store, &supabase, &layout, job, reach, true)
                .await;
        }
        match compared {
            Ok((table, span)) => {
                self.failures = 0;
                self.spans.compared(span, reach.up_to);
                let (floor, list_since) = (view.floor.head.seq, view.list_since());
                let unchecked = &table.columns.unchecked;
                let known = self.spans.parity(floor, list_since, unchecked);
                let shown = known.map_or_else(
                    || Parity::Unknown("not all records have been compared yet".into()),
                    Parity::Known,
                );
                self.show(shown);
                true
            }
            Err(unknown) => {
                self.trusted_until = Instant::now();
                let delay = FAILED_DELAY * 2_u32.pow(self.failures.min(4));
                let delay = if unknown.soon { SOON } else { delay };
                self.failures += u32::from(!unknown.soon);
                self.not_before = Instant::now() + delay.min(FAILED_DELAY_MAX);
                self.is_unknown(&unknown.reason.into());
                false
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

    /// The table, looked at again now and then.
    pub(super) async fn table(
        &mut self,
        supabase: &Arc<Supabase>,
        layout: &Layout,
        store: &Store,
        fresh: bool,
    ) -> Result<Arc<Table>, Unknown> {
        if let Some(table) = &self.table
            && Instant::now() < self.trusted_until
            && table.layout == *layout
        {
            return Ok(Arc::clone(table));
        }
        let known = if fresh {
            None
        } else {
            self.known_shape(layout)?
        };
        let (supabase, layout) = (Arc::clone(supabase), layout.clone());
        let table = Table::look(supabase, layout, known, store.strand_id()).await?;
        let table = Arc::new(table);
        let known = self.table.as_ref();
        if known.is_some_and(|known| !known.is_compared_as(&table)) {
            self.spans.begin_anew();
        }
        self.table = Some(Arc::clone(&table));
        self.trusted_until = Instant::now() + TABLE_TRUSTED;
        Ok(table)
    }

    /// The table as the lane knows it; none when the lane has no reason to look at it.
    fn known_shape(&self, layout: &Layout) -> Result<Option<Shape>, Unknown> {
        let view = self.view.borrow();
        if view.table_is_known() && view.table == layout.table {
            return Ok(Some(Shape::clone(&view.shape)));
        }
        if view.state == LaneState::Closed {
            return Ok(None);
        }
        let reason = view.reason.as_deref();
        let not_yet = "the lane has not looked at its table yet";
        Err(Unknown {
            soon: reason.is_none(),
            ..Unknown::because(reason.unwrap_or(not_yet).to_owned())
        })
    }

    /// Says why nothing is known; nobody needs to wait any more.
    pub(super) fn is_unknown(&mut self, reason: &Arc<str>) {
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
    pub(super) fn forget(&mut self) {
        self.spans = Spans::default();
        self.table = None;
        (self.failures, self.not_before) = (0, Instant::now());
        self.show(Parity::Unknown("not compared yet".into()));
    }
}
