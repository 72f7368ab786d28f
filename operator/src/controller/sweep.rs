//! What no look at a single integration can see: workloads that changed and may be selected now, and workloads that an
//! integration selected before it was deleted. Writer: it removes the label from the latter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{GateName, Phase};
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use tokio::time::{MissedTickBehavior, interval};

use super::label::label;
use super::leader::Leader;
use super::observe::workloads;
use super::workload::{Workload, selected_by};
use crate::caches::{Caches, GuardedIntegration};
use crate::causes::causes;
use crate::metrics::{Metrics, StrandState};

/// How often workloads of deleted integrations are looked for. An integration that is created again within that time
/// finds its workloads as they were.
const ORPHANS_INTERVAL: Duration = Duration::from_secs(30);

/// Sweeps for as long as this replica leads.
pub(super) async fn run(leader: Arc<Leader>) {
    tokio::join!(follow_workloads(&leader.caches), sweep_and_count(&leader));
}

async fn follow_workloads(caches: &Caches) {
    loop {
        let namespaces = caches.changes.changed_namespaces().await;
        touch_selecting(caches, &namespaces);
    }
}

async fn sweep_and_count(leader: &Leader) {
    let mut suspects = HashSet::new();
    let mut due = interval(ORPHANS_INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once: nothing is to be swept yet.
    due.tick().await;
    loop {
        due.tick().await;
        count(&leader.caches, &leader.metrics);
        leader.forget_deleted();
        suspects = sweep_orphans(leader, &suspects).await;
    }
}

/// Counts integrations and strands, for the metrics.
fn count(caches: &Caches, metrics: &Metrics) {
    let strands = caches.strands.count();
    let held = caches
        .strands
        .count_if(|strand| strand.spec.holder.is_some());
    metrics.set_strands(StrandState::Held, held);
    metrics.set_strands(StrandState::Free, strands.saturating_sub(held));
    let integrations = caches.integrations.state();
    let phases = integrations
        .iter()
        .filter_map(|one| one.0.as_ref().ok()?.status.as_ref()?.phase);
    let phases: Vec<Phase> = phases.collect();
    for phase in [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver] {
        let count = phases.iter().filter(|one| **one == phase).count();
        metrics.set_integrations(phase.as_str(), count);
    }
    for gate in GateName::ALL {
        let waits = |one: &&Arc<GuardedIntegration>| {
            let integration = one.0.as_ref().ok();
            let transition = integration.and_then(|it| it.status.as_ref()?.transition.as_ref());
            transition.is_some_and(|it| it.closed().any(|closed| closed.name == gate.as_str()))
        };
        metrics.set_closed_gates(gate.as_str(), integrations.iter().filter(waits).count());
    }
}

/// Has every integration looked at that selects workloads in one of these namespaces.
fn touch_selecting(caches: &Caches, namespaces: &HashSet<String>) {
    let selecting = caches.integrations.state_filter(|one| {
        let read = one.0.as_ref();
        let selects = read.is_ok_and(|one| one.spec.workload_selector.is_some());
        let namespace = one.namespace();
        selects && namespace.is_some_and(|namespace| namespaces.contains(&namespace))
    });
    for one in selecting {
        caches.changes.touch(ObjectRef::from_obj(&*one));
    }
}

/// Removes the label from workloads that were orphans at the last sweep too; returns those that are orphans now.
async fn sweep_orphans(leader: &Leader, suspects: &HashSet<String>) -> HashSet<String> {
    let mut found = HashSet::new();
    for (namespace, workload) in orphans(&leader.caches) {
        if !suspects.contains(&workload.uid) {
            found.insert(workload.uid);
            continue;
        }
        let name = &workload.name;
        match label(&leader.client, &namespace, &workload, None).await {
            Ok(_) => tracing::info!(
                namespace,
                workload = name,
                "removed the label from {workload}: its integration was deleted"
            ),
            Err(error) => {
                tracing::warn!(
                    namespace,
                    workload = name,
                    error = causes(&error),
                    "could not remove the label from {workload}; retrying"
                );
                found.insert(workload.uid);
            }
        }
    }
    found
}

/// Workloads that an integration selected that no longer exists, each with its namespace.
fn orphans(caches: &Caches) -> Vec<(String, Workload)> {
    workloads(caches, |meta| {
        selected_by(meta).is_some_and(|by| {
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            let integration = ObjectRef::new(by).within(namespace);
            caches.integrations.get(&integration).is_none()
        })
    })
}
