//! The address for whoever watches: `/live`, `/ready`, `/metrics`, nothing else.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use boboyka_strand::RecordType;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    registry::Registry,
};

use crate::store::Store;

/// The routes of the observing address.
pub(crate) fn router(store: Store) -> Router {
    Router::new()
        .route("/live", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(store)
}

async fn ready(State(store): State<Store>) -> Response {
    if store.is_poisoned() {
        let body = "not ready: the store stopped after a failed write\n";
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(store): State<Store>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut registry = Registry::with_prefix("boboyka");
    registry.register_collector(Box::new(StoreCollector(store)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads the store when it is asked: nothing is counted twice.
struct StoreCollector(Store);

impl std::fmt::Debug for StoreCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreCollector")
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let store = &self.0;
        let counts = store.counts();
        let records = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(
            "records",
            "Records appended to the strand",
            None,
            records.metric_type(),
        )?;
        for (record_type, count) in RecordType::ALL.into_iter().zip(counts) {
            let labels = [("record_type", record_type.name())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        encode_footprint(store, &mut encoder)?;
        encode_lanes(store, &mut encoder)
    }
}

fn encode_footprint(
    store: &Store,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let footprint = store.footprint();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let gauges = [
        (
            "head_seq",
            "Seq of the newest block",
            None,
            signed(store.head().seq),
        ),
        (
            "segments",
            "Sealed segments",
            None,
            count(footprint.segments),
        ),
        (
            "segment",
            "Size of all segments",
            Some(Unit::Bytes),
            signed(footprint.segment_bytes),
        ),
        (
            "tail_records",
            "Records not sealed yet",
            None,
            count(footprint.tail_blocks),
        ),
        (
            "tail",
            "Size of the tail",
            Some(Unit::Bytes),
            count(footprint.tail_bytes),
        ),
        (
            "quarantined",
            "What was set aside",
            None,
            count(store.quarantined().len()),
        ),
        (
            "store_poisoned",
            "1 after a failed write",
            None,
            i64::from(store.is_poisoned()),
        ),
    ];
    for (name, help, unit, value) in gauges {
        let gauge = ConstGauge::new(value);
        let metric = encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?;
        gauge.encode(metric)?;
    }
    Ok(())
}

fn encode_lanes(store: &Store, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
    let marks = RecordType::ALL.map(|lane| (lane.name(), store.mark(lane)));
    let lanes = [
        (
            "mirror_mark_seq",
            "How far a lane came",
            marks.map(|(_, mark)| mark.seq),
        ),
        (
            "mirror_records",
            "Records mirrored",
            marks.map(|(_, mark)| mark.mirrored),
        ),
        (
            "mirror_dead_letters",
            "Records Supabase refuses",
            marks.map(|(_, mark)| mark.dead_lettered),
        ),
    ];
    for (name, help, values) in lanes {
        let kind = ConstGauge::new(0i64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for ((lane, _), value) in marks.iter().zip(values) {
            let labels = [("lane", *lane)];
            ConstGauge::new(signed(value)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
