//! The report: what this sidecar says of itself in the cluster, as the status of its strand's resource.
//!
//! Only the sidecar of the pod that holds the strand reports, at the pace that the integration sets. A report that is
//! refused or lost is tried again with what is true by then. Reports carry neither keys nor row data.

mod conditions;
mod disk;
mod legacy;
mod log;
mod pace;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use boboyka_crds::{BoboykaStrand, StrandStatus, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use self::pace::Pacer;
pub(crate) use self::snapshot::{Source, Wanted};
use crate::cluster::{Backoff, Cluster, reason};
use crate::trouble::Trouble;
use tokio_util::sync::CancellationToken;

/// How often the sidecar looks at itself: within the two seconds in which an edit is obeyed and seen to be.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long a report may take.
const SEND_MAX: Duration = Duration::from_secs(10);

impl Source {
    /// The status now, of a strand without a cluster. `before` are the conditions that were said last.
    pub(crate) fn status_now(
        &mut self,
        running: bool,
        wanted: &Wanted,
        before: &[Condition],
    ) -> StrandStatus {
        let snapshot = self.look_now(running, wanted, None);
        let status = status::status(&snapshot, "", None, Timestamp::now(), before);
        StrandStatus {
            pod_uid: None,
            ..status
        }
    }
}

/// Reports until the signal, and once more at the end.
pub(crate) struct Reporter {
    cluster: Cluster,
    source: Source,
    pacer: Pacer,
    /// The conditions that were said last; none while that is not known.
    conditions: Option<Vec<Condition>>,
    trouble: Trouble,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(cluster: Cluster, source: Source) -> Self {
        Self {
            cluster,
            source,
            pacer: Pacer::default(),
            conditions: None,
            trouble: Trouble::with("report into the cluster"),
            backoff: Backoff::default(),
            not_before: None,
        }
    }

    /// Reports until the signal.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Self {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return self,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return self,
                () = self.turn() => {}
            }
        }
    }

    /// Says that it ends, in a limited time.
    pub(crate) async fn last(mut self, limit: Duration) {
        let said = async {
            let Some(client) = self.client() else { return };
            let Some(status) = self.look(false).await else {
                return;
            };
            if let Err(reason) = self.send(client, &status).await {
                tracing::warn!(reason, "the API server did not take the last report");
            }
        };
        if tokio::time::timeout(limit, said).await.is_err() {
            tracing::warn!("the API server did not answer the last report in time");
        }
    }

    async fn turn(&mut self) {
        let Some(client) = self.client() else {
            self.pacer.forget();
            self.conditions = None;
            return;
        };
        // The API server answers the watches again, so it will take the report too.
        if self.cluster.heard() {
            self.backoff.reset();
            self.not_before = None;
        }
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let Some(status) = self.look(true).await else {
            return;
        };
        let pace = self.cluster.integration.borrow().pace;
        if !self
            .pacer
            .is_due(&status, pace, Instant::now(), fastrand::f64())
        {
            return;
        }
        let sent = tokio::time::timeout(SEND_MAX, self.send(client, &status));
        let sent = sent
            .await
            .unwrap_or_else(|_| Err("the API server did not answer in time".to_owned()));
        match sent {
            Ok(()) => {
                self.trouble.over();
                self.backoff.reset();
                self.not_before = None;
                self.conditions = Some(status.conditions.clone());
                self.pacer.sent(status, pace, Instant::now());
            }
            Err(reason) => {
                self.trouble.is(&reason);
                self.not_before = Some(Instant::now() + self.backoff.next());
            }
        }
    }

    /// The client, while this pod holds the strand.
    fn client(&self) -> Option<Client> {
        let assignment = self.cluster.assignment.borrow();
        let own = self.cluster.membership.pod_uid.as_str();
        let holds = assignment.holder_uid.as_deref() == Some(own);
        holds
            .then(|| self.cluster.client.borrow().clone())
            .flatten()
    }

    /// The status now. None when the thread that collects it failed, which the next turn tries again.
    async fn look(&mut self, running: bool) -> Option<StrandStatus> {
        let assignment = self.cluster.assignment.borrow().clone();
        let wanted = Wanted::of(&self.cluster.integration.borrow());
        let snapshot = self
            .source
            .look(running, wanted, assignment.witnessed_seq)
            .await?;
        let before = self.conditions.as_ref().unwrap_or(&assignment.conditions);
        let own = &self.cluster.membership.pod_uid;
        // The operator changes the specification once the pod is gone, and nobody is left to answer that.
        let generation = assignment.generation.filter(|_| running);
        let now = Timestamp::now();
        Some(status::status(&snapshot, own, generation, now, before))
    }

    async fn send(&self, client: Client, status: &StrandStatus) -> Result<(), String> {
        let resource = ApiResource::erase::<BoboykaStrand>(&());
        let own = &self.cluster.membership;
        let api = Api::<DynamicObject>::namespaced_with(client, &own.namespace, &resource);
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": own.strand},
            "status": status,
        });
        let parameters = PatchParams::apply(names::SIDECAR_MANAGER).force();
        let sent = api
            .patch_status(&own.strand, &parameters, &Patch::Apply(&patch))
            .await;
        sent.map(drop).map_err(|error| reason(&error))
    }
}
