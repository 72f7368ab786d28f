//! The task that compares all lanes with their tables and counts foreign rows, one after the other, at a bounded
//! rate: it works for a tenth of the time at most, or half of it while somebody waits. After a failure it rests a minute at most:
//! waiting for an answer that did not come is little work.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{Store, View};
use boboyka_strand::RecordType;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::foreign::ForeignCount;
use super::found::{Table, Unknown};
use super::watched::{ComparedLane, WatchedLane};
use crate::foreign::Foreign;
use crate::parity::Difference;
use crate::settings::Settings;
use crate::source::Configured;
use crate::supabase::Supabase;
use crate::table::Layout;

/// How often a resting task looks whether the lanes have gone on.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Times a comparison's own time that the task rests after it.
const REST_TIMES: u32 = 9;

/// The longest rest after a failure, which is for all lanes and the foreign rows: a request that hangs ends after half a minute.
const FAILED_REST_MAX: Duration = Duration::from_mins(1);

/// What can be asked of the task.
#[derive(Debug)]
pub(crate) enum Request {
    /// To compare everything of a lane; answered when that is done, or has failed.
    Check(RecordType, oneshot::Sender<()>),
    /// To count foreign rows; answered in the same way.
    CountForeign(oneshot::Sender<()>),
    /// For all differences that are known of a lane.
    Differences(RecordType, oneshot::Sender<Vec<Difference>>),
}

/// What the task is started with.
pub(crate) struct CheckerSetup {
    pub(crate) store: Store,
    pub(crate) settings: watch::Receiver<Settings>,
    pub(crate) configured: watch::Receiver<Configured>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) lanes: Vec<ComparedLane>,
    /// Where the foreign rows are shown.
    pub(crate) foreign: watch::Sender<Foreign>,
    pub(crate) shutdown: CancellationToken,
}

/// The task.
pub(crate) struct Checker {
    store: Store,
    settings: watch::Receiver<Settings>,
    configured: watch::Receiver<Configured>,
    requests: mpsc::Receiver<Request>,
    shutdown: CancellationToken,
    lanes: Vec<WatchedLane>,
    foreign: ForeignCount,
    rest_until: Instant,
}

/// What is due first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    Lane(usize),
    Foreign,
}

impl Checker {
    pub(crate) fn new(setup: CheckerSetup) -> Self {
        Self {
            store: setup.store,
            settings: setup.settings,
            configured: setup.configured,
            requests: setup.requests,
            shutdown: setup.shutdown,
            lanes: setup.lanes.into_iter().map(WatchedLane::new).collect(),
            foreign: ForeignCount::new(setup.foreign),
            rest_until: Instant::now(),
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
                // The step takes them over.
                Ok(()) => self.configured.mark_changed(),
                Err(_) => return ControlFlow::Break(()),
            },
            // The sender may end before this task does, with the integration as it is.
            Ok(()) = self.settings.changed() => {}
            Some(request) = self.requests.recv() => self.take(request),
            () = sleep => {}
        }
        ControlFlow::Continue(())
    }

    /// Takes over the credentials as they are now. When they are others, nothing is known any more, whatever the task
    /// woke for.
    fn adopt(&mut self) -> Configured {
        let now = self.configured.borrow_and_update();
        let (configured, are_others) = (now.clone(), now.has_changed());
        drop(now);
        if are_others {
            self.lanes.iter_mut().for_each(WatchedLane::forget);
            self.foreign.forget();
        }
        configured
    }

    fn take(&mut self, request: Request) {
        let view = self.store.view();
        match request {
            Request::Check(of, reply) => {
                if let Some(lane) = self.lane(of) {
                    lane.ask(&view, reply);
                    self.rest_until = Instant::now();
                }
            }
            Request::CountForeign(reply) => {
                self.foreign.ask(reply);
                self.rest_until = Instant::now();
            }
            Request::Differences(of, reply) => {
                let differences = self.lane(of).map(|lane| lane.differences());
                // The caller may have gone.
                let _ = reply.send(differences.unwrap_or_default());
            }
        }
    }

    fn lane(&mut self, of: RecordType) -> Option<&mut WatchedLane> {
        self.lanes.iter_mut().find(|lane| lane.record_type == of)
    }

    /// Makes the comparison that is due, if one is; when to look again.
    async fn step(&mut self) -> Option<Instant> {
        let configured = self.adopt();
        let settings = self.settings.borrow_and_update().clone();
        let supabase = match configured {
            Configured::On(supabase) => supabase,
            Configured::Off(reason) => {
                let reason = reason.unwrap_or_else(|| "supabase is not configured".into());
                self.lanes
                    .iter_mut()
                    .for_each(|lane| lane.is_unknown(&reason));
                self.foreign.is_unknown(&reason, settings.foreign);
                return None;
            }
        };
        let (view, now) = (self.store.view(), Instant::now());
        let look = now + LOOK_INTERVAL;
        let Some((at, next)) = self.due(&view, &settings, now) else {
            return Some(look);
        };
        let at = at.max(self.rest_until);
        if at > now {
            return Some(at.min(look));
        }
        let is_known = match next {
            Next::Lane(place) => match self.lanes.get_mut(place) {
                Some(lane) => {
                    let layout = layout(lane, &settings);
                    let compared = lane.compare_next(&self.store, supabase, layout, &view);
                    compared.await
                }
                None => true,
            },
            Next::Foreign => {
                let tables = self.tables(&supabase, &settings).await;
                self.foreign.count(tables, settings.foreign).await
            }
        };
        let asked = self.lanes.iter().any(WatchedLane::is_asked);
        self.rest_until = Instant::now() + rest_after(now.elapsed(), asked, is_known);
        Some(self.rest_until)
    }

    /// What is due first, and when; nothing while the phase is not known.
    fn due(&mut self, view: &View, settings: &Settings, now: Instant) -> Option<(Instant, Next)> {
        let lanes = self.lanes.iter_mut().enumerate();
        let lanes =
            lanes.filter_map(|(place, lane)| Some((lane.due(view, now)?, Next::Lane(place))));
        let first = lanes.min();
        if view.phase.is_none() {
            let reason = "the phase of the integration is not known yet".into();
            self.foreign.is_unknown(&reason, settings.foreign);
            return first;
        }
        let foreign = self.foreign.due(settings.foreign);
        let foreign = foreign.map(|at| (at, Next::Foreign));
        first.into_iter().chain(foreign).min()
    }

    /// The tables of all lanes.
    async fn tables(
        &mut self,
        supabase: &Arc<Supabase>,
        settings: &Settings,
    ) -> Result<Vec<Arc<Table>>, Unknown> {
        let mut tables = Vec::new();
        for lane in &mut self.lanes {
            let layout = layout(lane, settings);
            tables.push(lane.table(supabase, &layout, &self.store, false).await?);
        }
        Ok(tables)
    }
}

/// How long the task rests after what took this long.
fn rest_after(took: Duration, is_asked: bool, is_known: bool) -> Duration {
    let rest = if is_asked { took } else { took * REST_TIMES };
    if is_known {
        rest
    } else {
        rest.min(FAILED_REST_MAX)
    }
}

fn layout(lane: &WatchedLane, settings: &Settings) -> Layout {
    Layout::new(lane.record_type, &settings.tables[lane.record_type])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::rest_after;

    #[test]
    fn the_task_rests_in_proportion_to_its_work_and_a_request_that_hung_stops_it_for_a_minute() {
        let half_a_minute = Duration::from_secs(30);
        assert_eq!(rest_after(half_a_minute, false, true), 9 * half_a_minute);
        assert_eq!(rest_after(half_a_minute, true, true), half_a_minute);
        assert_eq!(
            rest_after(half_a_minute, false, false),
            Duration::from_mins(1)
        );
        let second = Duration::from_secs(1);
        assert_eq!(rest_after(second, false, false), 9 * second);
    }
}
