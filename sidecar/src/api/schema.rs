//! The schemas of what has no type of its own on the wire, and of records as callers write them, made of the record table.

use std::borrow::Cow;

use boboyka_strand::record::{COLLECTION_MAX_BYTES, OWN_AGENT, TYPE_TAG};
use boboyka_strand::{Field, FieldKind, RecordType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// Text without U+0000, which Postgres can't store.
const NO_NUL: &str = "^[^\\u0000]*$";

/// Makes a type that only stands for its schema.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident: $wire:literal, $schema:expr;)*) => {$(
        $(#[$doc])*
        pub(super) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $wire.into()
            }

            fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
                let make: fn(&mut SchemaGenerator) -> Schema = $schema;
                make(schemas)
            }
        }
    )*};
}

named! {
    /// A hash.
    HashText: "Hash", |_| json_schema!({
        "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "A hash: 64 hexadecimal digits.",
    });
    /// A span, as the header `traceparent` names it.
    Traceparent: "Traceparent", |_| json_schema!({
        "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$",
        "description": "A span, as W3C's header of this name names it.",
    });
    /// A UUID.
    Id: "Id", |_| json_schema!({"type": "string", "format": "uuid"});
    /// The name of any record type.
    Kind: "RecordTypeName", |_| kinds(&RecordType::ALL);
    /// The name of a record type with a key.
    KeyedKind: "KeyedTypeName", |_| {
        let keyed = RecordType::ALL.into_iter().filter(|kind| kind.key().is_some());
        kinds(&keyed.collect::<Vec<_>>())
    };
    /// A record as its writer sent it.
    Data: "Data", |_| json_schema!({"type": "object", "description": "The record, as it was written."});
    /// Any value that a record may hold.
    Kept: "Value", kept;
    /// The fields of a build.
    ProjectBuild: "ProjectBuild", |schemas| data_of(RecordType::ProjectBuild, schemas);
    /// The fields of a queue item.
    BuildQueueItem: "BuildQueueItem", |schemas| data_of(RecordType::BuildQueueItem, schemas);
    /// The fields of a health snapshot.
    AgentHealth: "AgentHealth", |schemas| data_of(RecordType::AgentHealth, schemas);
    /// The fields of an action.
    AuditLog: "AuditLog", |schemas| data_of(RecordType::AuditLog, schemas);
    /// A record that a caller writes, with its type.
    Posted: "IngestRequest", posted;
    /// What a caller writes into a collection.
    Document: "Document", |schemas| {
        let mut schema = object(schemas);
        schema.insert("propertyNames".to_owned(), json!({"pattern": "^(?!_boboyka_)[^\\u0000]*$"}));
        schema
    };
    /// The name of a collection.
    Collection: "Collection", |_| json_schema!({
        "type": "string", "minLength": 1, "maxLength": COLLECTION_MAX_BYTES,
        "pattern": "^(?!_boboyka_)[^/\\u0000-\\u001f\\u007f-\\u009f]+$",
        "description": "A record type, its table, or a collection of documents: at most 128 bytes, no control characters.",
    });
}

fn kinds(kinds: &[RecordType]) -> Schema {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    json_schema!({"type": "string", "enum": names})
}

/// The sidecar rounds no number; that a float must be the shortest form of a double, no schema can say.
fn kept(schemas: &mut SchemaGenerator) -> Schema {
    let kept = schemas.subschema_for::<Kept>();
    json_schema!({
        "description": "Any value at most 64 levels deep. Numbers must be kept exactly: see docs/api.md.",
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "string", "pattern": NO_NUL},
            {"type": "integer", "minimum": i64::MIN, "maximum": u64::MAX},
            {"type": "number", "minimum": -f64::MAX, "maximum": f64::MAX},
            {"type": "array", "items": kept},
            {"type": "object", "propertyNames": {"pattern": NO_NUL}, "additionalProperties": kept},
        ],
    })
}

fn object(schemas: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": {"pattern": NO_NUL},
        "additionalProperties": schemas.subschema_for::<Kept>(),
    })
}

fn posted(schemas: &mut SchemaGenerator) -> Schema {
    let each = RecordType::MIRRORED.map(|kind| {
        json!({
            "type": "object",
            "title": kind.name(),
            "properties": {
                "record_type": {"const": kind.name()},
                "data": named_data(kind, schemas),
                "idempotency_key": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
            },
            "required": ["record_type", "data"],
            "additionalProperties": false,
        })
    });
    json_schema!({"oneOf": each})
}

fn named_data(kind: RecordType, schemas: &mut SchemaGenerator) -> Schema {
    match kind {
        RecordType::ProjectBuild => schemas.subschema_for::<ProjectBuild>(),
        RecordType::BuildQueueItem => schemas.subschema_for::<BuildQueueItem>(),
        RecordType::AgentHealth => schemas.subschema_for::<AgentHealth>(),
        RecordType::AuditLog => schemas.subschema_for::<AuditLog>(),
        RecordType::Document => schemas.subschema_for::<Document>(),
    }
}

/// The fields of a record type; others are kept as they are.
fn data_of(kind: RecordType, schemas: &mut SchemaGenerator) -> Schema {
    let mut schema = object(schemas);
    let fields = kind.fields().iter();
    let properties: Map<_, _> = fields
        .clone()
        .map(|field| (field.name.to_owned(), value_of(kind, field)))
        .collect();
    let required: Vec<_> = fields.filter(|it| it.required).map(|it| it.name).collect();
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), required.into());
    schema.insert("x-supabase-table".to_owned(), kind.table().into());
    schema.insert("x-key".to_owned(), kind.key().into());
    schema.insert("not".to_owned(), json!({"required": [TYPE_TAG]}));
    schema
}

/// What a field may hold. `null` counts as absent.
fn value_of(kind: RecordType, field: &Field) -> Value {
    let (name, mut schema) = match field.kind {
        FieldKind::Text => ("string", json!({"minLength": 1, "pattern": NO_NUL})),
        FieldKind::OneOf(texts) => ("string", json!({ "enum": allowed(field, texts) })),
        FieldKind::Integer => ("integer", json!({"minimum": i64::MIN, "maximum": i64::MAX})),
        FieldKind::Number => ("number", json!({})),
        FieldKind::Object => (
            "object",
            json!({
                "propertyNames": {"pattern": NO_NUL},
                "additionalProperties": {"$ref": "#/components/schemas/Value"},
            }),
        ),
    };
    if let Value::Object(members) = &mut schema {
        let types = if field.required {
            json!(name)
        } else {
            json!([name, "null"])
        };
        members.insert("type".to_owned(), types);
        if kind == RecordType::AuditLog && field.name == "agent_id" {
            members.insert("not".to_owned(), json!({ "const": OWN_AGENT }));
        }
    }
    schema
}

fn allowed(field: &Field, texts: &[&'static str]) -> Vec<Option<&'static str>> {
    let absent = (!field.required).then_some(None);
    texts.iter().copied().map(Some).chain(absent).collect()
}
