//! An edit of the phase with a hundred sidecars: until the operator puts it in force, and until the sidecars obey.
//!
//! Operator and sidecars are processes of this machine beside a real API server. When a sidecar obeys is read off its
//! own log, so that asking does not disturb it; that it does is asked afterwards.

mod sidecars;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, Phase};
use futures_util::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::figure::{Figure, heading};
use crate::operator::Operator;
use crate::stage::{LIMIT, NAME, Stage};
use sidecars::{Member, SIDECARS, start};

/// After an edit, reports are counted over this time, until every strand has reported the edit.
const BUSIEST: Duration = Duration::from_secs(1);

/// One edit: seconds since it was answered.
struct Edit {
    /// Until a watch shows the phase in force.
    watched: f64,
    /// Until the fiftieth sidecar obeys, until the last one does, and until all were asked and said so.
    half: f64,
    all: f64,
    asked: f64,
    /// Until every strand's resource tells of it, with the reports that it took, and the most in a second.
    reported: f64,
    reports: usize,
    busiest: usize,
}

/// Measures and prints.
pub(crate) async fn measure(rounds: usize) {
    let stage = Stage::start().await;
    let operator = Operator::start(&stage).await;
    let namespace = stage.namespace(json!({})).await;
    let members = start(&stage, &namespace).await;
    settled(&namespace, Phase::DualWrite).await;
    heading(&format!(
        "phase: {SIDECARS} sidecars obey an edit; {rounds} rounds (aims: 2 s for all, 20 status writes/s)"
    ));
    let (mut forward, mut back) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        forward.push(edit(&namespace, &members, Phase::MigrateInternals).await);
        back.push(edit(&namespace, &members, Phase::DualWrite).await);
    }
    print("DualWrite → MigrateInternals", &forward);
    print("MigrateInternals → DualWrite", &back);
    println!("  the operator holds {:.1} MiB", operator.memory().now);
}

fn print(name: &str, edits: &[Edit]) {
    let of = |value: fn(&Edit) -> f64| Figure::of(edits.iter().map(value).collect());
    let (watched, all) = (of(|edit| edit.watched), of(|edit| edit.all));
    println!(
        "  {name}: in force by a plain watch {watched:.3} s, 50 obey {:.3} s, all obey {all:.3} s, asked {:.3} s",
        of(|edit| edit.half),
        of(|edit| edit.asked)
    );
    println!(
        "      all obey ÷ plain watch {:.2}   {:.3} s more",
        all.median / watched.median,
        all.median - watched.median
    );
    println!(
        "      every strand tells of it after {:.1} s: {:.0} status writes, {:.1}/s, in the busiest second {:.0}",
        of(|edit| edit.reported),
        of(|edit| edit.reports as f64),
        of(|edit| edit.reports as f64 / edit.reported),
        of(|edit| edit.busiest as f64)
    );
}

/// Edits the phase, and follows what comes of it until everything is quiet.
async fn edit(namespace: &TestNamespace, members: &[Member], phase: Phase) -> Edit {
    let reports = count_reports(namespace).await;
    let integrations: Api<BoboykaIntegration> = namespace.api();
    let version = integrations
        .get(NAME)
        .await
        .unwrap()
        .resource_version()
        .unwrap();
    let in_force = tokio::spawn(in_force(namespace.api(), version, phase));
    let change = Patch::Merge(json!({"spec": {"phase": phase}}));
    integrations
        .patch(NAME, &PatchParams::default(), &change)
        .await
        .unwrap();
    let (begun, clock) = (Instant::now(), Timestamp::now());
    let mut obeyed: Vec<f64> = sidecars::obeyed(members, phase, clock).await;
    sidecars::ask(members, phase).await;
    let asked = begun.elapsed().as_secs_f64();
    obeyed.sort_by(f64::total_cmp);
    let watched = in_force
        .await
        .unwrap()
        .saturating_duration_since(begun)
        .as_secs_f64();
    settled(namespace, phase).await;
    let reported = reports.end(begun);
    Edit {
        watched,
        half: obeyed[SIDECARS / 2 - 1],
        all: obeyed[SIDECARS - 1],
        asked,
        reported: reported.last().copied().unwrap_or_default(),
        reports: reported.len(),
        busiest: busiest(&reported),
    }
}

/// Waits for the phase in the integration's status.
async fn in_force(api: Api<BoboykaIntegration>, version: String, phase: Phase) -> Instant {
    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if let WatchEvent::Modified(found) = event.unwrap()
            && found
                .status
                .is_some_and(|status| status.phase == Some(phase))
        {
            return Instant::now();
        }
    }
    panic!("the watch ended before {phase} was in force")
}

/// Waits until the operator says that all sidecars are ready in this phase: then it may be changed again.
async fn settled(namespace: &TestNamespace, phase: Phase) {
    let told = || async {
        let strands = namespace
            .api::<BoboykaStrand>()
            .list(&kube::api::ListParams::default())
            .await?;
        let status = namespace
            .api::<BoboykaIntegration>()
            .get(NAME)
            .await?
            .status
            .unwrap_or_default();
        let obey = strands
            .items
            .iter()
            .filter_map(|strand| strand.status.as_ref());
        let obey = obey
            .filter(|status| status.ready && status.phase == Some(phase))
            .count();
        Ok(obey == SIDECARS && usize::try_from(status.strands.ready)? == SIDECARS)
    };
    wait_for("every sidecar to report", LIMIT, told)
        .await
        .unwrap();
}

/// Status writes of strands, as a watch sees them.
struct CountedReports {
    seen: Arc<Mutex<Vec<Instant>>>,
    task: tokio::task::JoinHandle<()>,
}

impl CountedReports {
    /// Ends; seconds since a moment at which each was seen.
    fn end(self, begun: Instant) -> Vec<f64> {
        self.task.abort();
        let seen = self.seen.lock().unwrap();
        let since = |at: &Instant| at.saturating_duration_since(begun).as_secs_f64();
        seen.iter().filter(|at| **at >= begun).map(since).collect()
    }
}

async fn count_reports(namespace: &TestNamespace) -> CountedReports {
    let api: Api<BoboykaStrand> = namespace.api();
    let listed = api.list(&kube::api::ListParams::default()).await.unwrap();
    let version = listed.metadata.resource_version.unwrap();
    let reported = |strand: &BoboykaStrand| {
        strand
            .status
            .as_ref()
            .and_then(|status| status.reported_at.clone())
    };
    let mut last: std::collections::HashMap<_, _> = listed
        .items
        .iter()
        .map(|strand| (strand.name_any(), reported(strand)))
        .collect();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = api.watch(&WatchParams::default(), &version).await.unwrap();
    let task = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            let mut events = std::pin::pin!(events);
            while let Some(Ok(event)) = events.next().await {
                // What the operator writes into a strand is no report.
                if let WatchEvent::Modified(strand) = event {
                    let now = reported(&strand);
                    if last.insert(strand.name_any(), now.clone()) != Some(now) {
                        seen.lock().unwrap().push(Instant::now());
                    }
                }
            }
        }
    });
    CountedReports { seen, task }
}

/// The most of sorted moments that lie within a second.
fn busiest(moments: &[f64]) -> usize {
    let second = BUSIEST.as_secs_f64();
    let within = |first: usize| {
        moments[first..]
            .iter()
            .take_while(|at| **at < moments[first] + second)
            .count()
    };
    (0..moments.len()).map(within).max().unwrap_or_default()
}
