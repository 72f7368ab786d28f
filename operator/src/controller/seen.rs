//! What exists of one integration, as one look saw it. Pure.

use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, IntegrationStatus, phases};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::core::Selector;

use super::reports::Reports;
use super::workload::Workload;
use crate::caches::{Claim, Pod, Unread};
use crate::clock::Moment;
use crate::strands::witness::{self, ChainProblem};

/// What a strand shows for a change of phase.
pub(super) type Evidence = phases::Evidence<ChainProblem>;

/// A report older than this many intervals is no sign of life.
const FRESH_INTERVALS: u64 = 8;
/// The shortest interval between two reports, in seconds.
pub(super) const INTERVAL_MIN: i32 = 10;

/// What exists of an integration.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The strands of agents: gates and counters are about them.
    pub(super) strands: Vec<Arc<BoboykaStrand>>,
    /// The strand that a backfill fills.
    pub(super) history: Option<Arc<BoboykaStrand>>,
    pub(super) pods: Vec<Arc<Pod>>,
    /// By name.
    pub(super) claims: Vec<Arc<Claim>>,
    /// Those of the operator.
    pub(super) jobs: Vec<Arc<Job>>,
    /// The namespace's workloads, if the integration selects any, and those that it has selected.
    pub(super) workloads: Vec<Workload>,
    /// Older integrations of the namespace that select workloads, each with its selector: the oldest gets a workload.
    pub(super) rivals: Vec<(String, Selector)>,
    /// The names of legacy projects, if the integration reads them from a ConfigMap, or why they can't be read.
    pub(super) names: Option<Result<Vec<String>, Unread>>,
    /// The number of strands of all integrations: they share the API server.
    pub(super) fleet: usize,
}

impl Seen {
    /// All strands, the history among them.
    pub(super) fn all_strands(&self) -> impl Iterator<Item = &Arc<BoboykaStrand>> {
        self.strands.iter().chain(&self.history)
    }

    /// What the strands show for a change of phase.
    pub(super) fn evidence(
        &self,
        before: &IntegrationStatus,
        reports: &Reports,
        now: &Moment,
    ) -> Vec<Evidence> {
        let strands = self.strands.iter();
        let shown = strands.map(|strand| {
            let age = reports.age(&strand.name_any(), now);
            Evidence::of(
                strand,
                is_fresh(strand, before, age),
                age,
                self.problem(strand),
            )
        });
        shown.collect()
    }

    /// The names of legacy projects, where they are read from a ConfigMap that has them.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        self.names.as_ref()?.as_ref().ok().cloned()
    }

    /// The claim of a strand's name.
    pub(super) fn claim(&self, strand: &BoboykaStrand) -> Option<&Claim> {
        let name = Some(strand.spec.claim_name.as_deref()?);
        let claims = &self.claims;
        let found = claims.binary_search_by(|claim| claim.meta.name.as_deref().cmp(&name));
        claims.get(found.ok()?).map(|claim| &**claim)
    }

    /// What is wrong with a strand: its volume is another than it had, or its chain does not continue what was seen.
    pub(super) fn problem(&self, strand: &BoboykaStrand) -> Option<ChainProblem> {
        let judged = witness::check_claim(strand, self.claim(strand));
        judged.and_then(|()| witness::check(strand)).err()
    }
}

/// Whether the strand's holder has reported lately.
fn is_fresh(strand: &BoboykaStrand, before: &IntegrationStatus, age: Option<Duration>) -> bool {
    let (Some(status), Some(holder)) = (strand.report(), &strand.spec.holder) else {
        return false;
    };
    let interval = before.report_interval_seconds.unwrap_or(INTERVAL_MIN);
    let interval = u64::try_from(interval.max(INTERVAL_MIN)).unwrap_or_default();
    let most = Duration::from_secs(interval.saturating_mul(FRESH_INTERVALS));
    age.is_some_and(|age| age <= most)
        && holder.pod_uid.is_some()
        && status.pod_uid == holder.pod_uid
}
