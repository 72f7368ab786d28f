//! The counters of a status, over all strands of an integration. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, StrandCounts};

use crate::phases::Evidence;

/// The counters of a status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    pub(super) strands: StrandCounts,
    pub(super) records: i64,
    pub(super) records_by_type: BTreeMap<String, i64>,
    pub(super) backlog: i64,
    /// The longest lag of a strand with a backlog.
    pub(super) lag_ms: i64,
    pub(super) dead_letters: i64,
    /// The address of Supabase, as a sidecar reports it.
    pub(super) supabase_url: Option<String>,
}

impl Tally {
    /// Counts strands; `evidence` has one entry for each, in the same order.
    pub(super) fn of(strands: &[Arc<BoboykaStrand>], evidence: &[Evidence]) -> Self {
        let statuses = || strands.iter().filter_map(|strand| strand.status.as_ref());
        let mut records_by_type: BTreeMap<String, i64> = BTreeMap::new();
        for (record_type, count) in statuses().flat_map(|status| &status.records_by_type) {
            *records_by_type.entry(record_type.clone()).or_default() += count;
        }
        let behind = statuses().filter(|status| status.backlog > 0);
        Self {
            strands: counts(strands, evidence),
            records: statuses().map(|status| status.records).sum(),
            records_by_type,
            backlog: statuses().map(|status| status.backlog).sum(),
            lag_ms: behind.map(|status| status.lag_ms).max().unwrap_or_default(),
            dead_letters: statuses().map(|status| status.dead_letters).sum(),
            supabase_url: statuses()
                .rev()
                .find_map(|status| status.supabase_url.clone()),
        }
    }
}

fn counts(strands: &[Arc<BoboykaStrand>], evidence: &[Evidence]) -> StrandCounts {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let held = evidence.iter().filter(|one| one.held).count();
    let ready = strands.iter().zip(evidence);
    let ready = ready.filter(|(strand, one)| one.is_ready(strand)).count();
    StrandCounts {
        total: count(strands.len()),
        held: count(held),
        ready: count(ready),
        summary: Some(format!("{ready}/{held}")),
    }
}
