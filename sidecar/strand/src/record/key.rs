//! The key of a record, read from its payload: which build, queue item or agent it tells the state of.

use super::field::text_field;
use crate::record_type::RecordType;

/// The value of a payload's key field, see [`RecordType::key`]; `None` for a type without one, and for a payload that
/// does not have it.
pub fn key_of(record_type: RecordType, payload: &[u8]) -> Option<&str> {
    text_field(payload, record_type.key()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn the_key_is_the_value_of_the_types_own_field_wherever_it_stands() {
        for (record_type, data, expected) in [
            (
                RecordType::ProjectBuild,
                r#"{"z":{"build_id":"no"},"a":[1,{"build_id":"no"}],"build_id":"b/1","project_id":"p","status":"queued"}"#,
                Some("b/1"),
            ),
            (
                RecordType::BuildQueueItem,
                r#"{"queue_id":"q ü","project_id":"p","status":"done"}"#,
                Some("q ü"),
            ),
            (
                RecordType::AgentHealth,
                r#"{"agent_id":"a","status":"healthy"}"#,
                Some("a"),
            ),
            (
                RecordType::AuditLog,
                r#"{"agent_id":"a","event":"e"}"#,
                None,
            ),
        ] {
            let record = Record::from_json(record_type, data).unwrap();
            assert_eq!(key_of(record_type, record.payload()), expected);
        }
        assert_eq!(key_of(RecordType::AgentHealth, b""), None);
        assert_eq!(key_of(RecordType::AgentHealth, &[0xff; 20]), None);
    }
}
