//! What exists of one integration, as one look saw it. Pure.

use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, IntegrationStatus};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::workload::Workload;
use crate::caches::Pod;
use crate::clock::elapsed;
use crate::phases::Evidence;
use crate::strands::witness;

/// A report older than this many intervals is no sign of life.
const FRESH_INTERVALS: u64 = 8;
/// The shortest interval between two reports, in seconds.
pub(super) const INTERVAL_MIN: i32 = 10;

/// What exists of an integration.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) strands: Vec<Arc<BoboykaStrand>>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) claims: Vec<ObjectMeta>,
    pub(super) drains: Vec<Arc<Job>>,
    /// All workloads of the integration's namespace.
    pub(super) workloads: Vec<Workload>,
    /// The number of strands of all integrations: they share the API server.
    pub(super) fleet: usize,
}

impl Seen {
    /// What the strands show for a change of phase.
    pub(super) fn evidence(&self, before: &IntegrationStatus, now: &Time) -> Vec<Evidence> {
        let strands = self.strands.iter();
        let shown = strands.map(|strand| {
            let intact = witness::check(strand).is_ok();
            Evidence::of(strand, is_fresh(strand, before, now), intact)
        });
        shown.collect()
    }
}

/// Whether the strand's holder has reported lately.
fn is_fresh(strand: &BoboykaStrand, before: &IntegrationStatus, now: &Time) -> bool {
    let (Some(status), Some(holder)) = (&strand.status, &strand.spec.holder) else {
        return false;
    };
    let interval = before.report_interval_seconds.unwrap_or(INTERVAL_MIN);
    let interval = u64::try_from(interval.max(INTERVAL_MIN)).unwrap_or_default();
    let most = Duration::from_secs(interval.saturating_mul(FRESH_INTERVALS));
    let reported = status.reported_at.as_ref();
    reported.is_some_and(|at| elapsed(at, now) <= most)
        && holder.pod_uid.is_some()
        && status.pod_uid == holder.pod_uid
}
