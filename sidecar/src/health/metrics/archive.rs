//! Metrics of the archive; there are none without one.

use boboyka_archive::Kind;
use boboyka_store::now_ms;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::archive::Archived;

/// How the archive stands.
pub(super) fn encode(
    archived: &Archived,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let status = archived.status.borrow().clone();
    let gauge = ConstGauge::new(0i64).metric_type();
    for (name, help, value) in [
        (
            "archive_seq",
            "Seq up to which the archive holds every record, as this process has seen",
            status.seq,
        ),
        (
            "archive_waiting_segments",
            "Segments that are due and not known to be in the archive",
            status.waiting,
        ),
        (
            "archive_failing",
            "1 while the strand can't be archived",
            u64::from(status.fault.is_some()),
        ),
    ] {
        let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        value.encode(encoder.encode_descriptor(name, help, None, gauge)?)?;
    }
    let oldest_ms = status.oldest_waiting_ms;
    let lag = oldest_ms.map_or(0.0, |oldest| {
        std::time::Duration::from_millis(now_ms().saturating_sub(oldest)).as_secs_f64()
    });
    let (help, unit) = (
        "Age of the oldest record that is due in the archive",
        Unit::Seconds,
    );
    let lag = ConstGauge::new(lag);
    lag.encode(encoder.encode_descriptor("archive_lag", help, Some(&unit), gauge)?)?;
    let counter = ConstCounter::new(0u64).metric_type();
    let help = "Segments that were uploaded since the start";
    let uploaded = ConstCounter::new(status.uploaded);
    uploaded.encode(encoder.encode_descriptor(
        "archive_uploaded_segments",
        help,
        None,
        counter,
    )?)?;
    let (help, unit) = (
        "Size of the segments that were uploaded since the start",
        Unit::Bytes,
    );
    let bytes = ConstCounter::new(status.uploaded_bytes);
    bytes.encode(encoder.encode_descriptor("archive_uploaded", help, Some(&unit), counter)?)?;
    let help = "Failures to archive since the start, by kind";
    let mut family = encoder.encode_descriptor("archive_failures", help, None, counter)?;
    for kind in Kind::ALL {
        let labels = [("kind", kind.name())];
        let count = status.failures.get(&kind).copied().unwrap_or_default();
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
