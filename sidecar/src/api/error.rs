//! What a caller gets when the API refuses a request: a status and `{error, code, message, field?}`.
//! The message is for people and names the field; what only the log should say is not in here.

mod code;

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use boboyka_store::{KeyConflict, MomentError, ReadError, WriteError, causes};
use boboyka_strand::{RecordError, RecordType, Seq};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

pub(crate) use self::code::Code;
use super::unreadable;

/// How long a caller should wait when the queue is full: some commits.
const RETRY_AFTER_S: &str = "1";

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    /// What went wrong and what to do.
    pub(crate) message: String,
    /// The field, parameter or header that it is about.
    pub(crate) field: Option<String>,
    /// The header of a record whose payload is gone.
    pub(crate) record: Option<Box<Value>>,
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (_, code, error) = self.code.parts();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("error", error)?;
        map.serialize_entry("code", code)?;
        map.serialize_entry("message", &self.message)?;
        if let Some(field) = &self.field {
            map.serialize_entry("field", field)?;
        }
        if let Some(record) = &self.record {
            map.serialize_entry("record", record)?;
        }
        map.end()
    }
}

impl JsonSchema for ApiError {
    fn schema_name() -> Cow<'static, str> {
        "Error".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<_> = Code::ALL.iter().map(|code| code.parts().1).collect();
        json_schema!({
            "type": "object",
            "description": "Why a request was refused. The sidecar has then written nothing.",
            "properties": {
                "error": {"type": "string", "description": "The code in a few words."},
                "code": {"type": "string", "enum": codes},
                "message": {"type": "string", "description": "What went wrong and what to do."},
                "field": {"type": "string", "description": "The field, parameter or header that it is about."},
                "record": {
                    "type": "object",
                    "description": "Of a record whose payload is gone: what its hash covers, and a `.tlog-proof`.",
                },
            },
            "required": ["error", "code", "message"],
        })
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            record: None,
        }
    }

    /// The payload of a record is gone; `record` is what is left of it.
    pub(crate) fn payload_gone(record_type: RecordType, seq: Seq, record: Value) -> Self {
        let message = format!(
            "retention removed the payload of record {seq} (spec.retention.types.{record_type}); its header stays, and proves \
             that the record was there"
        );
        Self {
            record: Some(Box::new(record)),
            ..Self::new(Code::PayloadGone, message)
        }
    }

    pub(crate) fn about(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// A query parameter or header that is not what it must be.
    pub(crate) fn parameter(name: &str, must: &str) -> Self {
        Self::new(Code::BadParameter, format!("{name} {must}")).about(name)
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::MalformedJson, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Code::TooLarge, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }

    /// An error of the HTTP parser, by the status of its answer; `None` if the parser does not use the
    /// status.
    pub(crate) fn unparsed(status: u16) -> Option<Self> {
        let (code, message) = match status {
            400 => (
                Code::MalformedRequest,
                "the request is not HTTP/1.1: its request line, a header or its length is malformed",
            ),
            414 => (
                Code::TargetTooLong,
                "path and query exceed 65534 bytes; send a shorter request target",
            ),
            431 => (
                Code::HeadTooLarge,
                "the request has more than 100 headers, or more than 400 KiB of them; send fewer",
            ),
            _ => return None,
        };
        Some(Self::new(code, message))
    }

    /// Something that is not the caller's fault; the log says what.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::Internal,
            "the sidecar could not do it; its log says why",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, ..) = self.code.parts();
        let mut response = (status, axum::Json(&self)).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        let code = match &error {
            RecordError::Syntax { .. } => Code::MalformedJson,
            RecordError::NotAnObject => Code::NotAnObject,
            RecordError::Missing { .. } => Code::MissingField,
            RecordError::WrongKind { .. } => Code::InvalidField,
            RecordError::Nul { .. } => Code::NulInText,
            RecordError::TooDeep { .. } => Code::TooDeep,
            RecordError::DuplicateKey { .. } => Code::DuplicateField,
            RecordError::Number { .. } => Code::NumberNotKept,
            RecordError::Reserved
            | RecordError::ReservedKey { .. }
            | RecordError::ReservedAgent => Code::ReservedField,
            RecordError::Collection => Code::BadParameter,
            RecordError::TooLarge { .. } => Code::TooLarge,
        };
        let field = match (&error, error.field()) {
            (_, Some(field)) => Some(field.to_owned()),
            (RecordError::NotAnObject, None) => Some("data".to_owned()),
            _ => None,
        };
        let message = match &field {
            Some(field) => format!("{field} {error}"),
            None => error.to_string(),
        };
        Self {
            code,
            message,
            field,
            record: None,
        }
    }
}

impl From<KeyConflict> for ApiError {
    fn from(conflict: KeyConflict) -> Self {
        let code = match conflict {
            KeyConflict::OtherContent => Code::IdempotencyConflict,
            KeyConflict::Unreadable => Code::StrandDamaged,
        };
        Self::new(code, conflict.to_string()).about("idempotency_key")
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let code = match error {
            WriteError::QueueFull => Code::QueueFull,
            WriteError::DiskFull { .. }
            | WriteError::DiskFullOnHold { .. }
            | WriteError::TailFull => Code::DiskFull,
            WriteError::Poisoned => Code::StorePoisoned,
            WriteError::Closed => Code::ShuttingDown,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        if matches!(error, ReadError::Pruned { .. }) {
            return Self::new(Code::Pruned, error.to_string());
        }
        if matches!(
            error,
            ReadError::Lost { .. } | ReadError::PerhapsLost { .. }
        ) {
            return Self::new(Code::Lost, error.to_string());
        }
        if matches!(error, ReadError::NotReady { .. }) {
            return Self::new(Code::VersionsNotReady, error.to_string());
        }
        unreadable::log(&causes(&error));
        match &error {
            ReadError::Damaged { .. } => Self::new(
                Code::StrandDamaged,
                format!("{error}; GET /v1/boboyka/verify says where"),
            ),
            ReadError::Io { .. }
            | ReadError::Lost { .. }
            | ReadError::NotReady { .. }
            | ReadError::PerhapsLost { .. }
            | ReadError::Pruned { .. }
            | ReadError::Tail(_) => Self::internal(),
        }
    }
}

impl From<MomentError> for ApiError {
    fn from(error: MomentError) -> Self {
        let message = format!("as_of {error}");
        let refusal = match error {
            MomentError::Future { .. } | MomentError::Beyond { .. } | MomentError::Zero => {
                Self::new(Code::BadParameter, message)
            }
            MomentError::Unknown => Self::not_found(message),
            MomentError::Read(error) => error.into(),
        };
        refusal.about("as_of")
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    /// A table of a document has a row for every code, which begins so, and no other.
    fn lists_every_code(document: &str, columns: &str, row: impl Fn(&Code) -> String) {
        let (_, table) = document.split_once(columns).unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let mut listed: Vec<_> = table.lines().skip(2).collect();
        for code in Code::ALL {
            let (row, before) = (row(code), listed.len());
            listed.retain(|line| !line.starts_with(&row));
            assert_eq!(before, listed.len() + 1, "{row}");
        }
        assert!(listed.is_empty(), "no code of ours: {listed:?}");
    }

    #[test]
    fn the_document_lists_every_code_with_its_status_and_no_other() {
        let document = include_str!("../../../docs/api.md");
        lists_every_code(document, "| status | code |", |code| {
            let (status, name, _) = code.parts();
            format!("| {} | `{name}` |", status.as_u16())
        });
    }

    #[test]
    fn the_document_says_of_every_code_what_to_do() {
        let document = include_str!("../../../docs/troubleshooting.md");
        lists_every_code(document, "| code | what to do |", |code| {
            format!("| `{}` |", code.parts().1)
        });
    }
}
