//! The key of a record, read from its payload: which build, queue item or agent it tells the state of.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use crate::record_type::RecordType;

/// The value of a payload's key field, see [`RecordType::key`]; `None` for a type without one, and for a payload that
/// does not have it.
pub fn key_of(record_type: RecordType, payload: &[u8]) -> Option<&str> {
    let (name, mut found) = (record_type.key()?, None);
    let find = Find {
        name,
        found: &mut found,
    };
    // The reader calls it an error that the rest of the map is not read; what was found does not depend on that.
    let _ = rmp_serde::Deserializer::from_read_ref(payload).deserialize_map(find);
    found
}

/// Finds the text of one field; what comes after it is not read.
struct Find<'a, 'de> {
    name: &'static str,
    found: &'a mut Option<&'de str>,
}

impl<'de> Visitor<'de> for Find<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload's map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<&str>()? {
            if name == self.name {
                *self.found = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
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
