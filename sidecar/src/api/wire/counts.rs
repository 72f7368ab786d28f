//! Records of each type in JSON.

use std::borrow::Cow;

use boboyka_strand::{PerType, RecordType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

/// Records per type, in the page's order, and documents if there are any.
pub(crate) struct EventCounts(pub(crate) PerType<u64>);

impl JsonSchema for EventCounts {
    fn schema_name() -> Cow<'static, str> {
        "EventCounts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let count = json!({"type": "integer", "format": "uint64", "minimum": 0});
        let counts = RecordType::ALL.map(|kind| (kind.name().to_owned(), count.clone()));
        let properties: serde_json::Map<_, _> = counts.into_iter().collect();
        json_schema!({
            "type": "object",
            "description": "Records of each type. `document` is there once there is one.",
            "properties": properties,
            "required": RecordType::MIRRORED.map(RecordType::name),
            "additionalProperties": false,
        })
    }
}

impl Serialize for EventCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // The page has no documents.
        let is_said = |kind: RecordType, count| kind.table().is_some() || count > 0;
        for (record_type, count) in self.0.into_iter().filter(|(kind, n)| is_said(*kind, *n)) {
            map.serialize_entry(record_type.name(), &count)?;
        }
        map.end()
    }
}
