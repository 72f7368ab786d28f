//! Records of several strands as one list. Pure.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::table::plain;
use crate::target::Target;

/// A record as its sidecar tells it, with the strand that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    pub(crate) namespace: String,
    pub(crate) strand: String,
    #[serde(flatten)]
    pub(crate) told: Map<String, Value>,
}

impl Record {
    /// What the sidecar of a strand tells.
    pub(crate) fn of(target: &Target, told: Map<String, Value>) -> Self {
        Self {
            namespace: target.namespace.clone(),
            strand: target.strand.clone(),
            told,
        }
    }

    /// Its position in its strand.
    pub(crate) fn seq(&self) -> i64 {
        self.number("seq")
    }

    fn number(&self, field: &str) -> i64 {
        self.told.get(field).and_then(Value::as_i64).unwrap_or(0)
    }

    fn text(&self, field: &str) -> &str {
        self.told
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The record on one line; `wide` is the length of the longest name of a strand.
    pub(crate) fn line(&self, wide: usize) -> String {
        let at = Timestamp::from_millisecond(self.number("ingested_at_ms")).unwrap_or_default();
        let hash: String = self.text("record_hash").chars().take(12).collect();
        let kind = self.text("record_type");
        let data = self
            .told
            .get("data")
            .map(|data| format!("  {}", plain(&data.to_string())))
            .unwrap_or_default();
        let strand = format!("{}/{}", self.namespace, self.strand);
        format!(
            "{at:.3}  {strand:wide$}  {:>8}  {kind:16}  {hash}{data}",
            self.seq()
        )
    }
}

/// The newest of all records, in the order of their times, the newest last.
pub(crate) fn newest(mut records: Vec<Record>, limit: usize) -> Vec<Record> {
    records.sort_by(|a, b| {
        let key = |one: &Record| {
            (
                one.number("ingested_at_ms"),
                one.namespace.clone(),
                one.strand.clone(),
                one.seq(),
            )
        };
        key(a).cmp(&key(b))
    });
    let old = records.len().saturating_sub(limit);
    records.split_off(old)
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) event: String,
    pub(crate) data: String,
}

/// Puts the lines of a stream together to events.
#[derive(Debug, Default)]
pub(crate) struct Events(Sent);

impl Events {
    /// Takes a line; an event when this line ends one with data.
    pub(crate) fn line(&mut self, line: &str) -> Option<Sent> {
        if line.is_empty() {
            let sent = std::mem::take(&mut self.0);
            return (!sent.data.is_empty()).then_some(sent);
        }
        let (field, value) = line.split_once(':')?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.0.event),
            "data" => self.0.data.push_str(value),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(strand: &str, seq: i64, at: i64) -> Record {
        let told = json!({"seq": seq, "ingested_at_ms": at, "record_type": "audit_log", "record_hash": "0123456789abcdef"});
        Record {
            namespace: "agents".to_owned(),
            strand: strand.to_owned(),
            told: told.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn records_of_several_strands_come_in_the_order_of_their_times() {
        let all = vec![
            record("a", 2, 30),
            record("a", 1, 10),
            record("b", 1, 20),
            record("b", 2, 30),
        ];
        let told: Vec<_> = newest(all, 3)
            .iter()
            .map(|one| (one.strand.clone(), one.seq()))
            .collect();
        assert_eq!(
            told,
            [
                ("b".to_owned(), 1),
                ("a".to_owned(), 2),
                ("b".to_owned(), 2)
            ]
        );
    }

    #[test]
    fn a_record_is_one_line_without_control_characters() {
        let mut record = record("a", 7, 1_795_670_615_762);
        assert_eq!(
            record.line(10),
            "2026-11-26T05:23:35.762Z  agents/a           7  audit_log         0123456789ab"
        );
        record
            .told
            .insert("data".to_owned(), json!({"event": "x\u{9b}31m\n"}));
        let line = record.line(10);
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }

    #[test]
    fn lines_of_a_stream_become_events_and_comments_do_not() {
        let mut events = Events::default();
        let lines = [
            "retry: 2000",
            "id: 0",
            "",
            ": waits",
            "id: 1",
            "event: record",
            "data: {\"seq\":1}",
            "",
        ];
        let sent: Vec<_> = lines.iter().filter_map(|line| events.line(line)).collect();
        assert_eq!(
            sent,
            [Sent {
                event: "record".to_owned(),
                data: "{\"seq\":1}".to_owned()
            }]
        );
    }
}
