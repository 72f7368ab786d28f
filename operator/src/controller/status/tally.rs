//! The counters of a status, over all strands of an integration. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Uri;
use boboyka_crds::{BoboykaStrand, StrandCounts};

use crate::controller::seen::Evidence;

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
    pub(super) unmirrored: Option<i64>,
    pub(super) unmirrored_bytes: Option<i64>,
    /// Scheme and host of Supabase, as a sidecar reports them.
    pub(super) supabase_url: Option<String>,
}

impl Tally {
    /// Counts strands; `evidence` has one entry for each, in the same order.
    pub(super) fn of(strands: &[Arc<BoboykaStrand>], evidence: &[Evidence]) -> Self {
        let statuses = || strands.iter().filter_map(|strand| strand.report());
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
            unmirrored: statuses().map(|status| status.unmirrored).sum(),
            unmirrored_bytes: statuses().map(|status| status.unmirrored_bytes).sum(),
            supabase_url: statuses()
                .rev()
                .find_map(|status| origin(status.supabase_url.as_deref()?)),
        }
    }
}

/// Scheme and host of an http or https URL. A Secret's key that holds something else, or a password in the URL, is not shown.
fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.trim().parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|one| ["http", "https"].contains(one))?;
    let host = uri.host()?;
    Some(match uri.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_and_host_of_a_url_are_shown() {
        for (url, shown) in [
            ("https://abc.supabase.co", Some("https://abc.supabase.co")),
            (
                "https://abc.supabase.co/rest/v1?apikey=s3cret",
                Some("https://abc.supabase.co"),
            ),
            (
                "http://user:s3cret@10.0.0.1:8000/",
                Some("http://10.0.0.1:8000"),
            ),
            ("s3cret", None),
            ("postgres://user:s3cret@db/x", None),
            ("eyJhbGciOi.J9.x", None),
            ("", None),
        ] {
            assert_eq!(origin(url).as_deref(), shown, "{url}");
        }
    }
}
