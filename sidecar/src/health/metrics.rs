//! The metrics: the store and the lanes as they are at the scrape, and the counted requests. Names and units follow
//! Prometheus' conventions; `docs/api.md` lists them.

mod archive;

use std::sync::Arc;

use boboyka_mirror::{Class, DifferenceKind, Foreign, LaneState, LaneStatus, Mirror};
use boboyka_store::{Gap, View, now_ms};
use boboyka_strand::RecordType;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use prometheus_client::{collector::Collector, registry::Registry};

use crate::api::Api;
use crate::api::requests::{KINDS, Requests};
use crate::log;

/// All metrics as OpenMetrics text.
pub(super) fn text(api: Arc<Api>) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("boboyka");
    registry.register_collector(Box::new(ApiCollector(api)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Reads store and lanes when it is asked: nothing is counted twice.
struct ApiCollector(Arc<Api>);

impl std::fmt::Debug for ApiCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiCollector")
    }
}

impl Collector for ApiCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let view = self.0.store.view();
        let records = ConstCounter::new(0u64);
        let mut family = encoder.encode_descriptor(
            "records",
            "Records appended to the strand",
            None,
            records.metric_type(),
        )?;
        for (record_type, count) in view.counts {
            let labels = [("record_type", record_type.name())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        encode_pruned(&view, &mut encoder)?;
        encode_footprint(&view, &mut encoder)?;
        encode_store(&self.0, &view, &mut encoder)?;
        if let Some(archived) = self.0.archived.now() {
            archive::encode(&archived, &mut encoder)?;
        }
        encode_marks(&view, &mut encoder)?;
        let lanes = self.0.mirror.lanes(&view);
        encode_lanes(&lanes, &mut encoder)?;
        encode_parity(&lanes, &mut encoder)?;
        encode_foreign(&self.0.mirror.foreign(), &lanes, &mut encoder)?;
        encode_counters(&self.0.mirror, &mut encoder)?;
        encode_requests(&self.0.requests, &mut encoder)
    }
}

/// What retention took, and whether something keeps it from taking more.
fn encode_pruned(view: &View, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
    let floor = view.floor;
    let counter = ConstCounter::new(0u64).metric_type();
    let families = [
        ("pruned_records", "Records pruned", floor.counts),
        (
            "pruned_unmirrored_records",
            "Pruned records that Supabase never got",
            floor.unmirrored,
        ),
    ];
    for (name, help, counts) in families {
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for (record_type, count) in counts {
            let labels = [("record_type", record_type.name())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    let freed = ConstCounter::new(view.retention.freed_bytes);
    let metric = encoder.encode_descriptor(
        "pruned_segment",
        "Size of the segments that were unlinked since the start",
        Some(&Unit::Bytes),
        freed.metric_type(),
    )?;
    freed.encode(metric)?;
    let blocked_by = view.retention.blocked_by;
    let blocked_by = blocked_by.or(view.retention.payloads_blocked_by);
    let blocked = ConstGauge::new(i64::from(blocked_by.is_some()));
    let help = "1 while retention keeps records that its policy lets go";
    let metric =
        encoder.encode_descriptor("retention_blocked", help, None, blocked.metric_type())?;
    blocked.encode(metric)?;
    let hold = ConstGauge::new(i64::from(view.retention.hold));
    let help = "1 while a legal hold keeps every record";
    hold.encode(encoder.encode_descriptor("legal_hold", help, None, hold.metric_type())?)
}

fn encode_footprint(
    view: &View,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let footprint = view.footprint;
    let gauges = [
        (
            "head_seq",
            "Seq of the newest block",
            None,
            signed(view.head.seq),
        ),
        (
            "floor_seq",
            "Seq of the newest pruned block",
            None,
            signed(view.floor.head.seq),
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
    ];
    encode_gauges(gauges, encoder)
}

/// Whether something is wrong with the store, and since when the sidecar runs.
fn encode_store(
    api: &Api,
    view: &View,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let store = &api.store;
    let started = ConstGauge::new(api.started_at);
    let help = "When the sidecar started, in seconds since 1970";
    let (unit, kind) = (Some(&Unit::Seconds), started.metric_type());
    started.encode(encoder.encode_descriptor("start_time", help, unit, kind)?)?;
    let gauges = [
        (
            "quarantined",
            "Folders in quarantine",
            None,
            count(store.quarantined().len()),
        ),
        (
            "lost_records",
            "Acknowledged records that the disk has lost",
            None,
            signed(store.gaps().iter().map(Gap::len).sum()),
        ),
        (
            "scrub_damaged_segments",
            "Segments that the scrub found damaged, and 1 if the journal is",
            None,
            signed(view.scrub.damaged),
        ),
        (
            "store_poisoned",
            "1 after a failed write or the loss of the data folder",
            None,
            i64::from(store.is_poisoned()),
        ),
        (
            "clock_ahead",
            "How far the newest record's time is ahead of the clock",
            Some(Unit::Seconds),
            signed(view.ahead_ms(now_ms()) / 1000),
        ),
    ];
    encode_gauges(gauges, encoder)?;
    let newest = store.checkpoint();
    let (size, incarnation) = newest.map_or((0, 0), |it| (it.checkpoint.size(), it.incarnation));
    let gauges = [
        (
            "tlog_size",
            "Entries under the newest checkpoint of the strand's transparency log",
            None,
            signed(size),
        ),
        (
            "tlog_incarnation",
            "Incarnation of the strand's transparency log; 0 while nothing is signed",
            None,
            signed(incarnation),
        ),
    ];
    encode_gauges(gauges, encoder)?;
    let dropped = ConstCounter::new(log::dropped_lines());
    let help = "Lines of the log that were dropped because it was read too slowly";
    let kind = dropped.metric_type();
    dropped.encode(encoder.encode_descriptor("log_dropped_lines", help, None, kind)?)?;
    let dropped = ConstCounter::new(api.traces.dropped());
    let help =
        "Spans that were dropped because the collector of traces was too slow or did not take them";
    dropped.encode(encoder.encode_descriptor("trace_dropped_spans", help, None, kind)?)
}

fn encode_gauges<const N: usize>(
    gauges: [(&'static str, &'static str, Option<Unit>, i64); N],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    for (name, help, unit, value) in gauges {
        let gauge = ConstGauge::new(value);
        let metric = encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?;
        gauge.encode(metric)?;
    }
    Ok(())
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn encode_marks(view: &View, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
    let marks = RecordType::MIRRORED.map(|lane| (lane.name(), view.marks[lane]));
    let lanes = [
        (
            "mirror_mark_seq",
            "Seq up to which a lane is settled",
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

/// How the lanes stand: their states, what they have not mirrored yet, and how old it is.
fn encode_lanes(
    lanes: &[LaneStatus],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(0i64).metric_type();
    let help = "1 for the current state of the lane, 0 for the others";
    let mut family = encoder.encode_descriptor("mirror_state", help, None, gauge)?;
    for lane in lanes {
        for state in LaneState::ALL {
            let labels = [("lane", lane.record_type.name()), ("state", state.name())];
            let value = i64::from(lane.state == state);
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Records that wait to be mirrored";
    let mut family = encoder.encode_descriptor("mirror_backlog_records", help, None, gauge)?;
    for lane in lanes {
        let labels = [("lane", lane.record_type.name())];
        ConstGauge::new(signed(lane.backlog)).encode(family.encode_family(&labels)?)?;
    }
    let (help, unit) = (
        "Age of the oldest record that waits to be mirrored",
        Unit::Seconds,
    );
    let mut family = encoder.encode_descriptor("mirror_lag", help, Some(&unit), gauge)?;
    for lane in lanes {
        let labels = [("lane", lane.record_type.name())];
        let lag = std::time::Duration::from_millis(lane.lag_ms).as_secs_f64();
        ConstGauge::new(lag).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// How the tables differ from the strand. A lane of which that is not known has no series but the one that says so.
fn encode_parity(
    lanes: &[LaneStatus],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(0i64).metric_type();
    let help = "1 while it is known how the table differs from the strand";
    let mut family = encoder.encode_descriptor("mirror_parity_known", help, None, gauge)?;
    for lane in lanes {
        let labels = [("lane", lane.record_type.name())];
        let known = i64::from(lane.parity.known().is_some());
        ConstGauge::new(known).encode(family.encode_family(&labels)?)?;
    }
    let known = lanes.iter().filter_map(|lane| {
        let parity = lane.parity.known()?;
        Some((lane.record_type.name(), parity))
    });
    let help = "Records and rows that differ between the strand and its table";
    let mut family = encoder.encode_descriptor("mirror_parity_differences", help, None, gauge)?;
    for (lane, parity) in known.clone() {
        for (kind, count) in [
            (DifferenceKind::Missing, parity.missing),
            (DifferenceKind::Changed, parity.changed),
            (DifferenceKind::Extra, parity.extra),
            (DifferenceKind::Doubled, parity.doubled),
        ] {
            let labels = [("lane", lane), ("kind", kind.name())];
            ConstGauge::new(signed(count)).encode(family.encode_family(&labels)?)?;
        }
    }
    let (help, unit) = (
        "When the record was compared whose comparison is the oldest, in seconds since 1970",
        Unit::Seconds,
    );
    let mut family =
        encoder.encode_descriptor("mirror_parity_checked", help, Some(&unit), gauge)?;
    for (lane, parity) in known {
        let seconds = std::time::Duration::from_millis(parity.checked_at_ms).as_secs_f64();
        ConstGauge::new(seconds).encode(family.encode_family(&[("lane", lane)])?)?;
    }
    Ok(())
}

/// Rows that no strand wrote, by table; no series while that is not known, or another sidecar counts them.
fn encode_foreign(
    foreign: &Foreign,
    lanes: &[LaneStatus],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(0i64).metric_type();
    let help = "Rows that no strand wrote since the mirror began";
    let mut family = encoder.encode_descriptor("mirror_foreign_rows", help, None, gauge)?;
    let Some(known) = foreign.known() else {
        return Ok(());
    };
    for lane in lanes {
        let of = known.tables.iter().find(|table| table.table == lane.table);
        let rows = of.map_or(0, |table| table.rows);
        let labels = [("lane", lane.record_type.name())];
        ConstGauge::new(signed(rows)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What the lanes have done since the start.
fn encode_counters(
    mirror: &Mirror,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let counter = ConstCounter::new(0u64).metric_type();
    let help = "Requests to Supabase, by class of the answer";
    let mut family = encoder.encode_descriptor("mirror_requests", help, None, counter)?;
    for (lane, counters) in mirror.counters() {
        for class in Class::ALL {
            let labels = [("lane", lane.name()), ("class", class.name())];
            let count = counters.requests(class);
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Rows that Supabase accepted";
    let mut family = encoder.encode_descriptor("mirror_rows", help, None, counter)?;
    for (lane, counters) in mirror.counters() {
        let labels = [("lane", lane.name())];
        let rows = counters.rows();
        ConstCounter::new(rows).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The API's requests.
fn encode_requests(
    requests: &Requests,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let counter = ConstCounter::new(0u64).metric_type();
    let help = "Requests answered, by route and kind of answer";
    let mut family = encoder.encode_descriptor("http_requests", help, None, counter)?;
    for route in requests.routes() {
        for (kind, count) in KINDS.into_iter().zip(&route.answers) {
            let labels = [("route", route.name), ("status", kind)];
            count.encode(family.encode_family(&labels)?)?;
        }
    }
    let (help, unit) = ("Time until a request's answer", Unit::Seconds);
    let mut family = encoder.encode_descriptor(
        "http_request_duration",
        help,
        Some(&unit),
        MetricType::Histogram,
    )?;
    for route in requests.routes() {
        route
            .seconds
            .encode(family.encode_family(&[("route", route.name)])?)?;
    }
    Ok(())
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
