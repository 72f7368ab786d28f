//! The key of a record, read from its payload: which build, queue item or agent it tells the state of; and its project.

use super::field::text_field;
use crate::record_type::RecordType;

/// The value of a payload's key field, see [`RecordType::key`]; `None` for a type without one, and for a payload that
/// does not have it.
pub fn key_of(record_type: RecordType, payload: &[u8]) -> Option<&str> {
    text_field(payload, record_type.key()?)
}

/// The project of a record, see [`RecordType::project`].
pub fn project_of(record_type: RecordType, payload: &[u8]) -> Option<&str> {
    text_field(payload, record_type.project()?)
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
                RecordType::ProjectBuild,
                r#"{"a":-1,"aa":-200,"ab":1.5,"ac":70000,"ad":5000000000,"ae":null,"af":false,"ag":{"h":[[],{}]},"ah":1e300,"build_id":"b","project_id":"p","status":"queued"}"#,
                Some("b"),
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

    #[test]
    fn the_key_stands_behind_values_of_any_length_and_is_not_found_in_a_part() {
        for len in [15, 16, 31, 32, 255, 256, 70_000] {
            let (long, many) = ("x".repeat(len), "0,".repeat(len));
            let data = format!(
                r#"{{"a":[{many}1],"aa":"{long}","agent_id":"{long}","status":"healthy"}}"#
            );
            let record = Record::from_json(RecordType::AgentHealth, &data).unwrap();
            let payload = record.payload();
            assert_eq!(key_of(RecordType::AgentHealth, payload), Some(&*long));
            for end in [0, 1, 5, payload.len() / 3] {
                assert_eq!(key_of(RecordType::AgentHealth, &payload[..end]), None);
            }
        }
    }
}
