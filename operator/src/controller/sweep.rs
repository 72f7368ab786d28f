//! What no single integration's look can see: workloads that changed and may be chosen now, and workloads that were
//! chosen by an integration that is gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_crds::{BoboykaStrand, Phase};
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;

use super::Leader;
use super::apply::workloads::label;
use super::observe::{Workload, WorkloadKind, workload_of};

/// How often changed workloads are looked at.
const CHANGED_INTERVAL: Duration = Duration::from_millis(500);
/// How often the workloads of integrations that are gone are looked for. One that is made again within that time finds
/// its workloads as they were.
const ORPHANS_INTERVAL: Duration = Duration::from_secs(30);

/// Sweeps for as long as this replica leads.
pub(super) async fn run(leader: Arc<Leader>) {
    let mut swept = Instant::now();
    let mut suspects = HashSet::new();
    loop {
        tokio::time::sleep(CHANGED_INTERVAL).await;
        leader.touch_selecting();
        if swept.elapsed() >= ORPHANS_INTERVAL {
            swept = Instant::now();
            leader.count();
            suspects = leader.sweep_orphans(&suspects).await;
        }
    }
}

impl Leader {
    /// Counts integrations and strands, for the metrics.
    fn count(&self) {
        let strands = &self.caches.strands;
        let held = |strand: &BoboykaStrand| strand.spec.holder.is_some();
        self.metrics.set_strands("held", strands.count_if(held));
        self.metrics
            .set_strands("free", strands.count_if(|strand| !held(strand)));
        let integrations = self.caches.integrations.state();
        let phases = integrations
            .iter()
            .filter_map(|one| one.0.as_ref().ok()?.status.as_ref()?.phase);
        let phases: Vec<Phase> = phases.collect();
        for phase in [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver] {
            let count = phases.iter().filter(|one| **one == phase).count();
            self.metrics.set_integrations(phase.as_str(), count);
        }
    }

    /// Has every integration looked at that selects in a namespace whose workloads changed.
    fn touch_selecting(&self) {
        let namespaces = self.caches.changes.take_namespaces();
        if namespaces.is_empty() {
            return;
        }
        let selecting = self.caches.integrations.state_filter(|one| {
            let selects = one
                .0
                .as_ref()
                .is_ok_and(|one| one.spec.workload_selector.is_some());
            selects
                && one
                    .namespace()
                    .is_some_and(|namespace| namespaces.contains(&namespace))
        });
        for one in selecting {
            self.caches.changes.touch(ObjectRef::from_obj(&*one));
        }
    }

    /// Takes the label off workloads whose integration was gone at the last sweep too; those whose integration is gone
    /// now, for the next.
    async fn sweep_orphans(&self, suspects: &HashSet<String>) -> HashSet<String> {
        let mut found = HashSet::new();
        for (namespace, workload) in self.orphans() {
            if !suspects.contains(&workload.uid) {
                found.insert(workload.uid);
                continue;
            }
            let name = &workload.name;
            match label(&self.client, &namespace, &workload, None).await {
                Ok(_) => tracing::info!(
                    namespace,
                    workload = name,
                    "its integration is gone: {name} has no sidecars any more"
                ),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        namespace,
                        workload = name,
                        error,
                        "could not take the label off {name}"
                    );
                    found.insert(workload.uid);
                }
            }
        }
        found
    }

    fn orphans(&self) -> Vec<(String, Workload)> {
        let all = &self.caches.workloads;
        let mut found = Vec::new();
        let mut add = |kind: WorkloadKind, meta: &kube::core::ObjectMeta| {
            let workload = workload_of(kind, meta);
            let namespace = meta.namespace.clone().unwrap_or_default();
            let orphaned = workload.selected_by.as_ref().is_some_and(|by| {
                self.caches
                    .integrations
                    .get(&ObjectRef::new(by).within(&namespace))
                    .is_none()
            });
            if orphaned {
                found.push((namespace, workload));
            }
        };
        all.deployments
            .state()
            .iter()
            .for_each(|one| add(WorkloadKind::Deployment, &one.metadata));
        all.stateful_sets
            .state()
            .iter()
            .for_each(|one| add(WorkloadKind::StatefulSet, &one.metadata));
        all.daemon_sets
            .state()
            .iter()
            .for_each(|one| add(WorkloadKind::DaemonSet, &one.metadata));
        all.cron_jobs
            .state()
            .iter()
            .for_each(|one| add(WorkloadKind::CronJob, &one.metadata));
        found
    }
}
