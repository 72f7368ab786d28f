//! A report: from what the sidecar sees of itself to its strand's status. Pure.

use std::time::Instant;

use boboyka_crds::{self as crds, Chain, HeadReference, StrandStatus};
use boboyka_mirror::{ForeignTable, ForeignWrites, LaneParity, LaneStatus};
use boboyka_store::View;
use boboyka_strand::{Hash, RecordType, Seq};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::conditions::conditions;
use super::snapshot::Snapshot;
use crate::archive::Archived;
use crate::phase::TransitionProgress;

/// What the definition of the resource allows for a reason.
const REASON_MAX: usize = 512;

/// The strand's status, as the sidecar of this pod says it now, of this generation of the strand's specification. `before`
/// are the conditions that were said last.
pub(super) fn status(
    snapshot: &Snapshot,
    pod_uid: &str,
    generation: Option<i64>,
    now: Timestamp,
    before: &[Condition],
) -> StrandStatus {
    let (strand, lanes) = (&snapshot.strand, &snapshot.lanes);
    let (head, floor) = (strand.head, strand.floor.head);
    let (boundary, foreign) = (snapshot.boundary, snapshot.foreign.known());
    // What was found before the phase was obeyed is no evidence for the step that begins in it.
    let obeyed = strand.phase.map(|state| state.phase);
    let step = boundary.filter(|boundary| boundary.phase == obeyed);
    StrandStatus {
        observed_generation: generation,
        pod_uid: Some(pod_uid.to_owned()),
        reported_at: Some(Time(now)),
        ready: snapshot.ready,
        strand_id: Some(snapshot.strand_id.to_string()),
        head: Some(reference(head.seq, head.hash)),
        floor: (floor.seq > 0).then(|| reference(floor.seq, floor.hash)),
        witnessed: snapshot.witnessed.map(|(seq, hash)| reference(seq, hash)),
        records: number(strand.counts.values().sum()),
        records_by_type: strand
            .counts
            .into_iter()
            .map(|(kind, count)| (kind.name().to_owned(), number(count)))
            .collect(),
        lanes: lanes.iter().map(|one| lane(one, step)).collect(),
        backlog: number(lanes.iter().map(|lane| lane.backlog).sum()),
        lag_ms: number(lanes.iter().map(|lane| lane.lag_ms).max().unwrap_or(0)),
        dead_letters: number(lanes.iter().map(|lane| lane.dead_lettered).sum()),
        unmirrored: Some(number(unmirrored(strand))),
        unmirrored_bytes: Some(number(snapshot.unmirrored_bytes)),
        chain: Some(snapshot.chain.clone()),
        foreign_writes: foreign.map(|writes| foreign_writes(writes, step)),
        foreign_writes_unknown: snapshot.foreign.unknown().map(bounded),
        archive: snapshot.archive.as_ref().map(archive),
        log: snapshot.log.clone(),
        phase: strand.phase.map(|state| state.phase),
        phase_generation: strand.phase.map(|state| state.generation),
        boundary: boundary.map(|boundary| crds::Boundary {
            generation: boundary.generation,
            seq: number(boundary.seq),
            drained: boundary.drained,
        }),
        legacy: snapshot.legacy.clone(),
        backfill: snapshot.backfill.clone(),
        supabase_url: snapshot.supabase_url.clone(),
        disk_bytes: number(snapshot.disk_bytes),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        conditions: conditions(snapshot, now, before),
    }
}

/// What of a status must be known at once: all but the figures that move by themselves.
pub(super) fn health(status: &StrandStatus) -> StrandStatus {
    let mut health = StrandStatus {
        reported_at: None,
        head: None,
        floor: None,
        // The first records are shown at once: somebody tries the product.
        records: status.records.min(1),
        records_by_type: [].into(),
        backlog: 0,
        lag_ms: 0,
        dead_letters: status.dead_letters.min(1),
        unmirrored: None,
        unmirrored_bytes: None,
        chain: status.chain.clone().map(|chain| Chain {
            scrubbed_to: None,
            scrubbed_at: None,
            ..chain
        }),
        disk_bytes: 0,
        ..status.clone()
    };
    if let Some(log) = &mut health.log {
        (log.size, log.cosigned_size) = (0, log.cosigned_size.min(1));
    }
    health.archive = health.archive.map(without_figures);
    for lane in &mut health.lanes {
        *lane = crds::LaneStatus {
            record_type: std::mem::take(&mut lane.record_type),
            state: std::mem::take(&mut lane.state),
            reason: None,
            mark: 0,
            backlog: 0,
            dead_letters: 0,
            // That a table differs is told at once, how much it differs in its turn.
            parity: lane.parity.take().map(|parity| crds::Parity {
                up_to: 0,
                checked_at: Time(Timestamp::UNIX_EPOCH),
                generation: None,
                missing: parity.missing.min(1),
                changed: parity.changed.min(1),
                extra: parity.extra.min(1),
                doubled: parity.doubled.min(1),
                ..parity
            }),
            parity_unknown: None,
        };
    }
    for table in health
        .backfill
        .iter_mut()
        .flat_map(|it| it.tables.values_mut())
    {
        // That a table is done is told at once, how far it is in its turn.
        (table.rows, table.refused) = (0, table.refused.min(1));
    }
    for project in health.legacy.iter_mut().flat_map(|it| &mut it.departed) {
        // That a project waits is told at once, for what in its turn.
        project.waits_for = project.waits_for.take().map(|_| String::new());
    }
    if let Some(foreign) = &mut health.foreign_writes {
        // That there are some is told at once, how many in its turn.
        (foreign.checked_at, foreign.generation) = (Time(Timestamp::UNIX_EPOCH), None);
        for table in &mut foreign.tables {
            (table.rows, table.newest_at, table.sample) = (1, None, Vec::new());
            table.quiet_seconds = None;
        }
    }
    health.foreign_writes_unknown = None;
    for condition in &mut health.conditions {
        condition.message = String::new();
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    health
}

/// Whether two reports say the same, whenever they said it.
pub(super) fn same(one: &StrandStatus, other: &StrandStatus) -> bool {
    let at_no_time = |status: &StrandStatus| StrandStatus {
        reported_at: None,
        ..status.clone()
    };
    at_no_time(one) == at_no_time(other)
}

fn lane(lane: &LaneStatus, boundary: Option<TransitionProgress>) -> crds::LaneStatus {
    crds::LaneStatus {
        record_type: lane.record_type.name().to_owned(),
        state: lane.state.name().to_owned(),
        reason: lane.reason.clone(),
        mark: number(lane.mark),
        backlog: number(lane.backlog),
        dead_letters: number(lane.dead_lettered),
        parity: lane.parity.known().map(|known| parity(known, boundary)),
        parity_unknown: lane.parity.unknown().map(bounded),
    }
}

/// The change under way, if this was found after its boundary was fixed.
fn found_for(found: Instant, boundary: Option<TransitionProgress>) -> Option<i64> {
    let boundary = boundary.filter(|boundary| found >= boundary.fixed);
    boundary.map(|boundary| boundary.generation)
}

fn parity(parity: &LaneParity, boundary: Option<TransitionProgress>) -> crds::Parity {
    crds::Parity {
        up_to: number(parity.up_to),
        checked_at: time(parity.checked_at_ms),
        generation: found_for(parity.checked, boundary),
        missing: number(parity.missing),
        changed: number(parity.changed),
        extra: number(parity.extra),
        doubled: number(parity.doubled),
        unchecked_columns: parity
            .unchecked_columns
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

fn foreign_writes(
    writes: &ForeignWrites,
    boundary: Option<TransitionProgress>,
) -> crds::ForeignWrites {
    crds::ForeignWrites {
        since: time(writes.since_ms),
        checked_at: time(writes.checked_at_ms),
        generation: found_for(writes.checked, boundary),
        tables: writes.tables.iter().map(foreign_table).collect(),
    }
}

fn foreign_table(table: &ForeignTable) -> crds::ForeignTable {
    crds::ForeignTable {
        table: table.table.to_string(),
        rows: number(table.rows),
        newest_at: table.newest_at_ms.map(time),
        quiet_seconds: Some(number(table.quiet.as_secs())),
        sample: table.sample.clone(),
    }
}

/// That the archive has something is told at once, how much in its turn.
fn without_figures(archive: crds::ArchiveReport) -> crds::ArchiveReport {
    crds::ArchiveReport {
        archived_seq: archive.archived_seq.min(1),
        archived_at: None,
        waiting_segments: 0,
        waiting_since: None,
        ..archive
    }
}

fn archive(archived: &Archived) -> crds::ArchiveReport {
    let status = archived.status.borrow();
    crds::ArchiveReport {
        url: archived.url(),
        archived_seq: number(status.seq),
        archived_at: status.last_upload_ms.map(time),
        waiting_segments: number(status.waiting),
        waiting_since: status.oldest_waiting_ms.map(time),
        fault: status.fault.as_ref().map(|it| it.kind.name().to_owned()),
    }
}

fn time(ms: u64) -> Time {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Time(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A reason that fits into the status.
fn bounded(reason: &str) -> String {
    reason.chars().take(REASON_MAX).collect()
}

/// Records that a return to mirroring would send.
fn unmirrored(strand: &View) -> u64 {
    let lanes = RecordType::MIRRORED.into_iter();
    lanes.map(|lane| strand.unmirrored(lane)).sum()
}

fn reference(seq: Seq, hash: Hash) -> HeadReference {
    HeadReference {
        seq: number(seq),
        hash: hash.to_string(),
    }
}

/// Kubernetes' numbers have a sign.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
