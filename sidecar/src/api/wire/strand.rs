//! The strand in JSON: how it stands, what a check of it came to.

use std::collections::BTreeMap;

use boboyka_cosigning::{Cosigned, WitnessStatus};
use boboyka_store::{Gap, RetentionStatus, ScrubStatus, Store, TlogStatus, Verdict, View};
use boboyka_strand::retention::Blocker;
use boboyka_strand::{Hash, Head, RecordType, Seq};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::archive::ArchiveJson;
use super::counts::EventCounts;
use super::integration::IntegrationJson;
use super::mirror::LaneJson;
use super::phase::PHASES;
use crate::api::schema::{HashText, Id, Kind};

/// How the integration stands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Status {
    #[schemars(extend("enum" = PHASES))]
    pub(crate) integration_phase: &'static str,
    pub(crate) dual_write_enabled: bool,
    /// Legacy projects whose new records are mirrored, in a phase that mirrors nothing else.
    pub(crate) legacy_projects: u64,
    /// Records that a return to `DualWrite` would mirror.
    pub(crate) unmirrored: u64,
    /// Bytes in the files of the segments that hold them.
    pub(crate) unmirrored_bytes: u64,
    pub(crate) supabase_url: Option<String>,
    pub(crate) event_counts: EventCounts,
    pub(crate) total_events: u64,
    pub(crate) strand: StrandStatus,
    pub(crate) log: LogStatus,
    pub(crate) mirror: Vec<LaneJson>,
    pub(crate) retention: RetentionJson,
    /// How the archive stands; null without one.
    pub(crate) archive: Option<ArchiveJson>,
    pub(crate) clock: ClockJson,
    /// How the file of the integration stands; null without one.
    pub(crate) integration: Option<IntegrationJson>,
    pub(crate) version: &'static str,
}

/// How the strand's transparency log stands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LogStatus {
    /// Null until a checkpoint is signed.
    origin: Option<String>,
    incarnation: Option<u64>,
    /// Of the newest checkpoint.
    size: Option<u64>,
    /// Entries below, and tiles of level 0 over them, may be missing.
    minimum_index: u64,
    /// Why there is no log.
    unavailable: Option<String>,
    /// Those that are asked to cosign.
    witnesses: Vec<WitnessJson>,
}

/// How a witness stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Witness")]
struct WitnessJson {
    name: String,
    /// Of the newest checkpoint that it cosigned since the sidecar started.
    size: u64,
    /// Why it did not cosign the newest one it was asked for.
    error: Option<String>,
}

/// The strand's time beside this machine's.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Clock")]
pub(crate) struct ClockJson {
    /// How far the newest record's time is ahead of the clock.
    pub(crate) ahead_ms: u64,
}

/// How the strand stands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StrandStatus {
    #[schemars(with = "Id")]
    id: Uuid,
    head: HeadStatus,
    /// The newest pruned block; seq 0 while nothing was pruned.
    floor: HeadStatus,
    segments: usize,
    segment_bytes: u64,
    tail_records: usize,
    tail_bytes: usize,
    /// Damaged files in quarantine, until an operator has removed them.
    quarantined: Vec<QuarantinedJson>,
    /// What is lost, oldest first.
    gaps: Vec<GapJson>,
    scrub: ScrubJson,
    /// Why this start made the tail's index anew, if it did; nothing is lost by that.
    tail_rebuilt: Option<String>,
}

/// What reading the strand again in the background has found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Scrub")]
struct ScrubJson {
    last_finished_ms: Option<u64>,
    checked_bytes: u64,
    damaged: u64,
}

/// Acknowledged records that the disk has lost.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Gap")]
struct GapJson {
    first: Seq,
    last: Seq,
    #[schemars(with = "HashText")]
    hash_before: Hash,
    found_ms: u64,
}

/// The newest block; seq 0 before the first.
#[derive(Serialize, JsonSchema)]
struct HeadStatus {
    seq: Seq,
    #[schemars(with = "HashText")]
    hash: Hash,
    timestamp_ms: u64,
}

/// Damaged files in quarantine.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Quarantined")]
struct QuarantinedJson {
    folder: String,
    reason: String,
}

/// How retention stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Retention")]
pub(crate) struct RetentionJson {
    hold: bool,
    max_age_ms: Option<u64>,
    max_size_bytes: Option<u64>,
    last_run_ms: Option<u64>,
    pruned_seq: Seq,
    pruned_unmirrored: u64,
    freed_bytes: u64,
    blocked_by: Option<BlockerJson>,
    /// Payloads older than this may go, by record type.
    payload_max_age_ms: BTreeMap<&'static str, u64>,
    /// Records that are held without their payload.
    payloads_gone: u64,
    payloads_blocked_by: Option<BlockerJson>,
}

/// What keeps records that the policy lets go.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Blocker")]
struct BlockerJson {
    #[schemars(extend("enum" = ["legal_hold", "lane", "dead_letters", "rollback", "archive"]))]
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Kind")]
    lane: Option<RecordType>,
    message: String,
}

/// What a check of the chain came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Verdict")]
pub(crate) struct VerdictJson {
    ok: bool,
    floor: HeadJson,
    verified: u64,
    /// Of these, records without their payload, which retention removed.
    payloads_gone: u64,
    head: HeadJson,
    broken_seq: Option<u64>,
    reason: Option<String>,
}

/// A block of a verdict, its time packed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VerdictHead")]
struct HeadJson {
    seq: Seq,
    #[schemars(with = "HashText")]
    hash: Hash,
    hlc: u64,
}

impl StrandStatus {
    pub(crate) fn new(store: &Store, view: &View) -> Self {
        let quarantined = store
            .quarantined()
            .into_iter()
            .map(|found| QuarantinedJson {
                folder: found.folder,
                reason: found.reason,
            });
        Self {
            id: store.strand_id(),
            head: view.head.into(),
            floor: view.floor.head.into(),
            segments: view.footprint.segments,
            segment_bytes: view.footprint.segment_bytes,
            tail_records: view.footprint.tail_blocks,
            tail_bytes: view.footprint.tail_bytes,
            quarantined: quarantined.collect(),
            gaps: store.gaps().into_iter().map(GapJson::from).collect(),
            scrub: view.scrub.into(),
            tail_rebuilt: store.tail_rebuilt().map(ToOwned::to_owned),
        }
    }
}

impl LogStatus {
    pub(crate) fn new(status: TlogStatus, cosigned: &Cosigned) -> Self {
        let newest = status.published.as_deref();
        Self {
            origin: newest.map(|newest| newest.checkpoint.origin().to_owned()),
            incarnation: newest.map(|newest| newest.incarnation),
            size: newest.map(|newest| newest.checkpoint.size()),
            minimum_index: status.minimum_index,
            unavailable: status.unavailable,
            witnesses: cosigned.witnesses.iter().map(WitnessJson::of).collect(),
        }
    }
}

impl WitnessJson {
    fn of(status: &WitnessStatus) -> Self {
        Self {
            name: status.name.clone(),
            size: status.size,
            error: status.fault.as_ref().map(ToString::to_string),
        }
    }
}

impl From<ScrubStatus> for ScrubJson {
    fn from(status: ScrubStatus) -> Self {
        Self {
            last_finished_ms: status.last_finished_ms,
            checked_bytes: status.checked_bytes,
            damaged: status.damaged,
        }
    }
}

impl From<Gap> for GapJson {
    fn from(gap: Gap) -> Self {
        Self {
            first: gap.first,
            last: gap.last.seq,
            hash_before: gap.hash_before,
            found_ms: gap.found_ms,
        }
    }
}

impl From<Head> for HeadStatus {
    fn from(head: Head) -> Self {
        Self {
            seq: head.seq,
            hash: head.hash,
            timestamp_ms: head.hlc.ms(),
        }
    }
}

impl From<RetentionStatus> for RetentionJson {
    fn from(status: RetentionStatus) -> Self {
        Self {
            hold: status.hold,
            max_age_ms: status.max_age_ms,
            max_size_bytes: status.max_size_bytes,
            last_run_ms: status.last_run_ms,
            pruned_seq: status.pruned_seq,
            pruned_unmirrored: status.pruned_unmirrored,
            freed_bytes: status.freed_bytes,
            blocked_by: status.blocked_by.map(BlockerJson::from),
            payload_max_age_ms: status
                .payload_ages
                .into_iter()
                .filter_map(|(kind, age)| Some((kind.name(), age?)))
                .collect(),
            payloads_gone: status.payloads_gone,
            payloads_blocked_by: status.payloads_blocked_by.map(BlockerJson::from),
        }
    }
}

impl From<Blocker> for BlockerJson {
    fn from(blocker: Blocker) -> Self {
        let (by, lane) = match blocker {
            Blocker::LegalHold => ("legal_hold", None),
            Blocker::Lane(lane) => ("lane", Some(lane)),
            Blocker::DeadLetters(lane) => ("dead_letters", Some(lane)),
            Blocker::Rollback => ("rollback", None),
            Blocker::Archive => ("archive", None),
        };
        Self {
            by,
            lane,
            message: blocker.to_string(),
        }
    }
}

impl From<Verdict> for VerdictJson {
    fn from(verdict: Verdict) -> Self {
        Self {
            ok: verdict.ok,
            floor: verdict.floor.into(),
            verified: verdict.verified,
            payloads_gone: verdict.payloads_gone,
            head: verdict.head.into(),
            broken_seq: verdict.broken_seq,
            reason: verdict.reason,
        }
    }
}

impl From<Head> for HeadJson {
    fn from(head: Head) -> Self {
        Self {
            seq: head.seq,
            hash: head.hash,
            hlc: head.hlc.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use boboyka_store::{RetentionStatus, Verdict};
    use boboyka_strand::retention::{Blocker, PayloadAges};
    use boboyka_strand::{Hash, Head, Hlc, RecordType};

    use super::{RetentionJson, VerdictJson};

    fn retention(blocked_by: Option<Blocker>) -> String {
        let mut payload_ages = PayloadAges::default();
        payload_ages[RecordType::AgentHealth] = Some(7);
        let status = RetentionStatus {
            payload_ages,
            payloads_gone: 3,
            max_age_ms: Some(1000),
            pruned_seq: 4,
            blocked_by,
            ..RetentionStatus::default()
        };
        serde_json::to_string(&RetentionJson::from(status)).unwrap()
    }

    #[test]
    fn retention_is_written_with_what_blocks_it() {
        let begin = r#"{"hold":false,"max_age_ms":1000,"max_size_bytes":null,"last_run_ms":null,"pruned_seq":4,"pruned_unmirrored":0,"freed_bytes":0,"blocked_by":"#;
        let rest = r#","payload_max_age_ms":{"agent_health":7},"payloads_gone":3,"payloads_blocked_by":null}"#;
        for (blocker, end) in [
            (None, "null"),
            (
                Some(Blocker::LegalHold),
                r#"{"by":"legal_hold","message":"a legal hold keeps every record"}"#,
            ),
            (
                Some(Blocker::Lane(RecordType::AuditLog)),
                r#"{"by":"lane","lane":"audit_log","message":"the lane audit_log has not mirrored it yet"}"#,
            ),
            (
                Some(Blocker::DeadLetters(RecordType::AgentHealth)),
                r#"{"by":"dead_letters","lane":"agent_health","message":"the lane agent_health has a dead letter in it"}"#,
            ),
            (
                Some(Blocker::Rollback),
                r#"{"by":"rollback","message":"a return to DualWrite would mirror it"}"#,
            ),
            (
                Some(Blocker::Archive),
                r#"{"by":"archive","message":"the archive does not hold it yet"}"#,
            ),
        ] {
            assert_eq!(retention(blocker), format!("{begin}{end}{rest}"));
        }
    }

    #[test]
    fn a_verdict_is_written_as_the_document_shows_it() {
        let head = |seq| Head {
            seq,
            hash: Hash::ZERO,
            hlc: Hlc::new(seq * 2),
        };
        let verdict = Verdict {
            ok: false,
            floor: head(1),
            verified: 5,
            payloads_gone: 2,
            head: head(6),
            broken_seq: Some(7),
            reason: Some("its seq is 9".to_owned()),
        };
        let written = serde_json::to_string(&VerdictJson::from(verdict)).unwrap();
        let zero = "0".repeat(64);
        let expected = format!(
            r#"{{"ok":false,"floor":{{"seq":1,"hash":"{zero}","hlc":2}},"verified":5,"payloads_gone":2,"head":{{"seq":6,"hash":"{zero}","hlc":12}},"broken_seq":7,"reason":"its seq is 9"}}"#
        );
        assert_eq!(written, expected);
    }
}
