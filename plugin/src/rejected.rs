//! Records that Supabase rejected, of several strands. Pure.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::age;
use crate::table::{Cell, Table, paragraph};

/// What a sidecar says of its mirror.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mirror {
    pub(crate) lanes: Vec<Lane>,
}

/// One lane.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Lane {
    pub(crate) record_type: String,
    #[serde(default)]
    pub(crate) dead_letters: Vec<Told>,
}

/// A dead letter as its sidecar tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Told {
    pub(crate) seq: i64,
    pub(crate) record_hash: String,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) attempts: i64,
    #[serde(default)]
    pub(crate) since_ms: i64,
}

/// A dead letter with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetter {
    pub(crate) namespace: String,
    pub(crate) strand: String,
    pub(crate) record_type: String,
    #[serde(flatten)]
    pub(crate) told: Told,
}

/// The dead letters of a strand.
pub(crate) fn of_strand(namespace: &str, strand: &str, mirror: Mirror) -> Vec<DeadLetter> {
    let lanes = mirror.lanes.into_iter();
    let letters = lanes.flat_map(|lane| {
        let kind = lane.record_type;
        lane.dead_letters
            .into_iter()
            .map(move |told| (kind.clone(), told))
    });
    let letters = letters.map(|(record_type, told)| DeadLetter {
        namespace: namespace.to_owned(),
        strand: strand.to_owned(),
        record_type,
        told,
    });
    letters.collect()
}

/// The dead letters as people read them.
pub(crate) fn text(letters: &[DeadLetter], now: Timestamp, width: Option<usize>) -> String {
    if letters.is_empty() {
        return "No dead letters.\n".to_owned();
    }
    let mut table = Table::new(&["STRAND", "SEQ", "TYPE", "TRIED", "AGE", "WHY"]);
    for one in letters {
        let age = now.as_second() - one.told.since_ms / 1000;
        table.row([
            Cell::from(format!("{}/{}", one.namespace, one.strand)),
            Cell::from(one.told.seq.to_string()),
            Cell::from(&one.record_type),
            Cell::from(one.told.attempts.to_string()),
            Cell::from(age::short(age.max(0))),
            Cell::from(why(&one.told)),
        ]);
    }
    let next = "next: remove the cause, and then kubectl boboyka dead-letters retry";
    table.render(width) + "\n" + &paragraph(next, 0, width)
}

/// The code and the message of the rejection.
pub(crate) fn why(told: &Told) -> String {
    let parts = [told.code.as_deref(), told.message.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dead_letters_of_all_lanes_are_listed_with_the_reason_and_the_next_step() {
        let mirror: Mirror = serde_json::from_value(json!({"enabled": true, "lanes": [
            {"record_type": "audit_log", "dead_lettered": 0, "dead_letters": []},
            {"record_type": "project_build", "dead_lettered": 1, "dead_letters": [
                {"seq": 7, "record_hash": "ab", "code": "23514", "message": "violates check constraint", "attempts": 2,
                 "since_ms": 1_767_268_500_000_i64}]},
        ]}))
        .unwrap();
        let letters = of_strand("agents", "a", mirror);
        let written = text(&letters, "2026-01-01T12:00:00Z".parse().unwrap(), Some(80));
        assert_eq!(
            written,
            "\
STRAND    SEQ  TYPE           TRIED  AGE  WHY
agents/a  7    project_build  2      5m   23514: violates check constraint

next: remove the cause, and then kubectl boboyka dead-letters retry
"
        );
    }
}
