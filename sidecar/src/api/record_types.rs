//! `GET /v1/boboyka/record-types`: the record table, for programs that make forms or checks of it.

use axum::response::{IntoResponse, Response};
use boboyka_strand::{FieldKind, RecordType};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::api::schema::{Data, Kind};

/// The record types that are mirrored; what a document says is known to its writer alone.
#[derive(Serialize, JsonSchema)]
pub(super) struct RecordTypes {
    record_types: Vec<RecordTypeJson>,
}

/// A record type.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordType")]
struct RecordTypeJson {
    #[schemars(with = "Kind")]
    record_type: RecordType,
    table: Option<&'static str>,
    key: Option<&'static str>,
    fields: Vec<FieldJson>,
    #[schemars(with = "Data")]
    example: Box<RawValue>,
}

/// A field that a record type knows.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Field")]
struct FieldJson {
    name: &'static str,
    #[schemars(extend("enum" = ["text", "one_of", "integer", "number", "object"]))]
    kind: &'static str,
    required: bool,
    one_of: Option<&'static [&'static str]>,
}

/// What the public page shows of each type.
const fn example(record_type: RecordType) -> &'static str {
    match record_type {
        RecordType::ProjectBuild => {
            r#"{"project_id":"proj_abc","build_id":"bld_xyz","status":"succeeded","agent_id":"boboyka_builder","started_at_ms":1747000000000,"completed_at_ms":1747000012000,"output_url":"https://cdn.example.com/builds/bld_xyz.tar.gz"}"#
        }
        RecordType::BuildQueueItem => {
            r#"{"queue_id":"q_001","project_id":"proj_abc","priority":1,"status":"waiting","enqueued_at_ms":1747000000000,"dequeued_at_ms":null}"#
        }
        RecordType::AgentHealth => {
            r#"{"agent_id":"boboyka_builder","status":"healthy","cpu_pct":23.4,"memory_mb":512,"checked_at_ms":1747000000000}"#
        }
        RecordType::AuditLog => {
            r#"{"agent_id":"boboyka_builder","event":"deploy_completed","actor":"ci_pipeline","timestamp_ms":1747000000000,"metadata":{"env":"production"}}"#
        }
        RecordType::Document => "{}",
    }
}

/// The record table.
pub(super) async fn record_types() -> Result<Response, ApiError> {
    let all: Option<Vec<_>> = RecordType::MIRRORED.into_iter().map(described).collect();
    let record_types = all.ok_or_else(ApiError::internal)?;
    Ok(axum::Json(RecordTypes { record_types }).into_response())
}

fn described(record_type: RecordType) -> Option<RecordTypeJson> {
    Some(RecordTypeJson {
        record_type,
        table: record_type.table(),
        key: record_type.key(),
        fields: record_type.fields().iter().map(field).collect(),
        example: RawValue::from_string(example(record_type).to_owned()).ok()?,
    })
}

fn field(field: &boboyka_strand::Field) -> FieldJson {
    let (kind, one_of) = match field.kind {
        FieldKind::Text => ("text", None),
        FieldKind::OneOf(texts) => ("one_of", Some(texts)),
        FieldKind::Integer => ("integer", None),
        FieldKind::Number => ("number", None),
        FieldKind::Object => ("object", None),
    };
    FieldJson {
        name: field.name,
        kind,
        required: field.required,
        one_of,
    }
}

#[cfg(test)]
mod tests {
    use boboyka_strand::{Record, RecordType};

    use super::{described, example};

    #[test]
    fn every_example_is_a_record_that_is_taken() {
        for record_type in RecordType::MIRRORED {
            let record = Record::from_json(record_type, example(record_type));
            assert!(record.is_ok(), "{record_type}: {record:?}");
            assert!(described(record_type).is_some());
        }
    }
}
