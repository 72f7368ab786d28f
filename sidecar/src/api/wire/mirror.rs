//! The mirror in JSON.

use std::sync::Arc;

use crate::api::schema::{HashText, Kind};
use boboyka_mirror::{
    Difference, DifferenceKind, Foreign, ForeignTable, ForeignWrites, LaneParity, LaneState,
    LaneStatus, Mode, RepairReport, RetryReport,
};
use boboyka_store::DeadLetter;
use boboyka_strand::{Hash, RecordType, Seq};
use schemars::JsonSchema;
use serde::Serialize;

/// A lane.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lane")]
pub(crate) struct LaneJson {
    #[schemars(with = "Kind")]
    record_type: RecordType,
    table: Arc<str>,
    #[schemars(extend("enum" = LaneState::ALL.map(LaneState::name)))]
    state: &'static str,
    reason: Option<String>,
    mark: Seq,
    head: Seq,
    backlog: u64,
    lag_ms: u64,
    mirrored: u64,
    dead_lettered: u64,
    retry_in_ms: Option<u64>,
    lost_columns: Vec<Arc<str>>,
    idempotent: bool,
    #[schemars(extend("enum" = [Mode::Append.name(), Mode::Latest.name(), null]))]
    mode: Option<&'static str>,
    key: Vec<Arc<str>>,
    guarded: bool,
    set_aside: u64,
    parity: Option<ParityJson>,
    parity_unknown: Option<String>,
    dead_letters: Vec<DeadLetterJson>,
}

/// How a lane's table differs from the strand.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Parity")]
struct ParityJson {
    up_to: Seq,
    checked_at_ms: u64,
    missing: u64,
    changed: u64,
    extra: u64,
    doubled: u64,
    unchecked_columns: Vec<Arc<str>>,
    differences: Vec<DifferenceJson>,
}

/// A record or row that differs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Difference")]
struct DifferenceJson {
    seq: Seq,
    #[schemars(extend("enum" = DifferenceKind::ALL.map(DifferenceKind::name)))]
    kind: &'static str,
}

/// A dead letter of a lane.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
struct DeadLetterJson {
    #[schemars(with = "Kind")]
    record_type: RecordType,
    seq: Seq,
    #[schemars(with = "HashText")]
    record_hash: Hash,
    code: String,
    message: String,
    attempts: u32,
    since_ms: u64,
}

/// What a retry did.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Retry")]
pub(crate) struct RetryJson {
    retried: u64,
    mirrored: u64,
    dead_lettered: u64,
}

/// Rows that no strand wrote.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ForeignWrites")]
pub(crate) struct ForeignJson {
    since_ms: u64,
    checked_at_ms: u64,
    tables: Vec<ForeignTableJson>,
}

/// Those of one table.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ForeignTable")]
struct ForeignTableJson {
    table: Arc<str>,
    rows: u64,
    newest_at_ms: Option<u64>,
    sample: Vec<String>,
}

impl From<&ForeignWrites> for ForeignJson {
    fn from(writes: &ForeignWrites) -> Self {
        let table = |table: &ForeignTable| ForeignTableJson {
            table: Arc::clone(&table.table),
            rows: table.rows,
            newest_at_ms: table.newest_at_ms,
            sample: table.sample.clone(),
        };
        Self {
            since_ms: writes.since_ms,
            checked_at_ms: writes.checked_at_ms,
            tables: writes.tables.iter().map(table).collect(),
        }
    }
}

/// What a repair did, and how the lanes' tables compare after it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Repair")]
pub(crate) struct RepairJson {
    found: u64,
    sent: u64,
    beyond_repair: u64,
    reason: Option<String>,
    lanes: Vec<LaneJson>,
}

impl RepairJson {
    /// The answer to a repair.
    pub(crate) fn new(report: RepairReport, lanes: Vec<LaneStatus>) -> Self {
        Self {
            found: report.found,
            sent: report.sent,
            beyond_repair: report.beyond_repair,
            reason: report.reason,
            lanes: lane_statuses(lanes),
        }
    }
}

/// Whether everything was compared, and what was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Check")]
pub(crate) struct CheckJson {
    complete: bool,
    foreign_writes: Option<ForeignJson>,
    foreign_writes_unknown: Option<String>,
    lanes: Vec<LaneJson>,
}

impl CheckJson {
    /// The answer to a check.
    pub(crate) fn new(complete: bool, foreign: &Foreign, lanes: Vec<LaneStatus>) -> Self {
        Self {
            complete,
            foreign_writes: foreign.known().map(ForeignJson::from),
            foreign_writes_unknown: foreign.unknown().map(str::to_owned),
            lanes: lane_statuses(lanes),
        }
    }
}

/// The lanes, in the page's order.
pub(crate) fn lane_statuses(lanes: Vec<LaneStatus>) -> Vec<LaneJson> {
    lanes.into_iter().map(LaneJson::from).collect()
}

impl From<LaneStatus> for LaneJson {
    fn from(lane: LaneStatus) -> Self {
        let letters = lane.dead_letters.into_iter();
        Self {
            parity_unknown: lane.parity.unknown().map(str::to_owned),
            parity: lane.parity.known().map(ParityJson::from),
            record_type: lane.record_type,
            table: lane.table,
            state: lane.state.name(),
            reason: lane.reason,
            mark: lane.mark,
            head: lane.head,
            backlog: lane.backlog,
            lag_ms: lane.lag_ms,
            mirrored: lane.mirrored,
            dead_lettered: lane.dead_lettered,
            retry_in_ms: lane.retry_in_ms,
            lost_columns: lane.lost_columns,
            idempotent: lane.idempotent,
            mode: lane.mode.map(Mode::name),
            key: lane.key,
            guarded: lane.guarded,
            set_aside: lane.set_aside,
            dead_letters: letters.map(DeadLetterJson::from).collect(),
        }
    }
}

impl From<&LaneParity> for ParityJson {
    fn from(parity: &LaneParity) -> Self {
        let differences = parity.differences.iter().copied();
        Self {
            up_to: parity.up_to,
            checked_at_ms: parity.checked_at_ms,
            missing: parity.missing,
            changed: parity.changed,
            extra: parity.extra,
            doubled: parity.doubled,
            unchecked_columns: parity.unchecked_columns.clone(),
            differences: differences.map(DifferenceJson::from).collect(),
        }
    }
}

impl From<Difference> for DifferenceJson {
    fn from(difference: Difference) -> Self {
        Self {
            seq: difference.seq,
            kind: difference.kind.name(),
        }
    }
}

impl From<DeadLetter> for DeadLetterJson {
    fn from(letter: DeadLetter) -> Self {
        Self {
            record_type: letter.record_type,
            seq: letter.seq,
            record_hash: letter.record_hash,
            code: letter.code,
            message: letter.message,
            attempts: letter.attempts,
            since_ms: letter.since_ms,
        }
    }
}

impl From<RetryReport> for RetryJson {
    fn from(report: RetryReport) -> Self {
        Self {
            retried: report.retried,
            mirrored: report.mirrored,
            dead_lettered: report.dead_lettered,
        }
    }
}

#[cfg(test)]
mod tests {
    use boboyka_mirror::{
        Difference, DifferenceKind, LaneParity, LaneState, LaneStatus, Mode, Parity, RetryReport,
    };
    use boboyka_store::DeadLetter;
    use boboyka_strand::{Hash, RecordType};
    use serde_json::json;

    use super::{LaneJson, RetryJson};

    #[test]
    fn a_lane_is_written_as_the_document_shows_it_in_every_state() {
        for state in LaneState::ALL {
            let lane = LaneStatus {
                record_type: RecordType::AuditLog,
                table: "agent_audit_log".into(),
                state,
                reason: Some("why".to_owned()),
                mark: 7,
                head: 9,
                backlog: 2,
                lag_ms: 1500,
                mirrored: 6,
                dead_lettered: 1,
                retry_in_ms: None,
                lost_columns: vec!["seq".into()],
                idempotent: true,
                mode: Some(Mode::Latest),
                key: vec!["event".into()],
                guarded: true,
                set_aside: 1,
                parity: Parity::Known(LaneParity {
                    up_to: 9,
                    checked_at_ms: 1_760_000_000_000,
                    checked: std::time::Instant::now(),
                    list_since: 0,
                    missing: 1,
                    changed: 0,
                    extra: 0,
                    doubled: 0,
                    differences: vec![Difference {
                        seq: 4,
                        kind: DifferenceKind::Missing,
                    }],
                    unchecked_columns: vec!["created".into()],
                }),
                dead_letters: vec![DeadLetter {
                    record_type: RecordType::AuditLog,
                    seq: 3,
                    record_hash: Hash::ZERO,
                    code: "23514".to_owned(),
                    message: "refused".to_owned(),
                    attempts: 2,
                    since_ms: 1_760_000_000_000,
                }],
            };
            let written = serde_json::to_string(&LaneJson::from(lane)).unwrap();
            let letter = json!({
                "record_type": "audit_log",
                "seq": 3,
                "record_hash": "0".repeat(64),
                "code": "23514",
                "message": "refused",
                "attempts": 2,
                "since_ms": 1_760_000_000_000_u64,
            });
            let value: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert_eq!(value["dead_letters"], json!([letter]));
            let name = state.name();
            let beginning = format!(
                r#"{{"record_type":"audit_log","table":"agent_audit_log","state":"{name}","reason":"why","mark":7,"head":9,"backlog":2,"lag_ms":1500,"mirrored":6,"dead_lettered":1,"retry_in_ms":null,"lost_columns":["seq"],"idempotent":true,"mode":"latest","key":["event"],"guarded":true,"set_aside":1,"parity":{{"up_to":9,"checked_at_ms":1760000000000,"missing":1,"changed":0,"extra":0,"doubled":0,"unchecked_columns":["created"],"differences":[{{"seq":4,"kind":"missing"}}]}},"parity_unknown":null,"dead_letters":[{{"record_type":"audit_log","seq":3,"#
            );
            assert!(written.starts_with(&beginning), "{written}");
        }
    }

    #[test]
    fn a_retry_is_written_as_three_counts() {
        let report = RetryReport {
            retried: 3,
            mirrored: 2,
            dead_lettered: 1,
        };
        let written = serde_json::to_string(&RetryJson::from(report)).unwrap();
        assert_eq!(written, r#"{"retried":3,"mirrored":2,"dead_lettered":1}"#);
    }
}
