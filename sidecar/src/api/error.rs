//! What a caller gets when the API refuses a request: a status and `{error, code, message, field?}`.
//! The message is for people and names the field; what only the log should say is not in here.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use boboyka_store::{KeyConflict, MomentError, ReadError, WriteError, causes};
use boboyka_strand::RecordError;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::unreadable;

/// How long a caller should wait when the queue is full: some commits.
const RETRY_AFTER_S: &str = "1";

/// Makes [`Code`] of one table: name, status, the code on the wire, the same in a few words.
macro_rules! codes {
    ($($name:ident: $status:ident, $code:literal, $error:literal;)*) => {
        /// What went wrong, for programs; `docs/api.md` lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($name,)*
        }

        impl Code {
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];

            const fn parts(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$name => (StatusCode::$status, $code, $error),)*
                }
            }
        }
    };
}

codes! {
    BadParameter: BAD_REQUEST, "bad_parameter", "bad parameter";
    BodyCutShort: BAD_REQUEST, "body_cut_short", "body cut short";
    BodyTimeout: REQUEST_TIMEOUT, "body_timeout", "body timeout";
    CatchingUp: SERVICE_UNAVAILABLE, "catching_up", "catching up";
    DiskFull: INSUFFICIENT_STORAGE, "disk_full", "disk full";
    DuplicateField: UNPROCESSABLE_ENTITY, "duplicate_field", "duplicate field";
    ForbiddenHost: FORBIDDEN, "forbidden_host", "forbidden";
    ForbiddenOrigin: FORBIDDEN, "forbidden_origin", "forbidden";
    IdempotencyConflict: CONFLICT, "idempotency_conflict", "idempotency conflict";
    HeadTooLarge: REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "request head too large";
    Internal: INTERNAL_SERVER_ERROR, "internal", "internal error";
    InvalidField: UNPROCESSABLE_ENTITY, "invalid_field", "invalid field";
    LaneBusy: SERVICE_UNAVAILABLE, "lane_busy", "lane busy";
    LogUnavailable: SERVICE_UNAVAILABLE, "log_unavailable", "log unavailable";
    Lost: GONE, "lost", "lost";
    MalformedJson: BAD_REQUEST, "malformed_json", "malformed JSON";
    MalformedRequest: BAD_REQUEST, "malformed_request", "malformed request";
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed", "method not allowed";
    MirrorDisabled: CONFLICT, "mirror_disabled", "mirror disabled";
    MissingField: UNPROCESSABLE_ENTITY, "missing_field", "missing field";
    NotAnObject: UNPROCESSABLE_ENTITY, "not_an_object", "not an object";
    NotDeleted: CONFLICT, "not_deleted", "not deleted";
    NotFound: NOT_FOUND, "not_found", "not found";
    NotSupported: NOT_IMPLEMENTED, "not_supported", "not supported";
    NulInText: UNPROCESSABLE_ENTITY, "nul_in_text", "NUL in text";
    NumberNotKept: UNPROCESSABLE_ENTITY, "number_not_kept", "number can't be kept";
    Pruned: GONE, "pruned", "pruned";
    QueueFull: TOO_MANY_REQUESTS, "queue_full", "queue full";
    ReservedField: UNPROCESSABLE_ENTITY, "reserved_field", "reserved field";
    ScanTooLong: UNPROCESSABLE_ENTITY, "scan_too_long", "scan too long";
    ShuttingDown: SERVICE_UNAVAILABLE, "shutting_down", "shutting down";
    SlowReader: REQUEST_TIMEOUT, "slow_reader", "slow reader";
    StorePoisoned: SERVICE_UNAVAILABLE, "store_poisoned", "store poisoned";
    StreamBusy: TOO_MANY_REQUESTS, "stream_busy", "too many streams";
    StrandDamaged: INTERNAL_SERVER_ERROR, "strand_damaged", "strand damaged";
    TargetTooLong: URI_TOO_LONG, "target_too_long", "request target too long";
    TooDeep: UNPROCESSABLE_ENTITY, "too_deep", "nested too deep";
    TooLarge: PAYLOAD_TOO_LARGE, "too_large", "too large";
    Unauthorized: UNAUTHORIZED, "unauthorized", "unauthorized";
    UnknownRecordType: UNPROCESSABLE_ENTITY, "unknown_record_type", "unknown record type";
    VersionsNotReady: SERVICE_UNAVAILABLE, "versions_not_ready", "versions not ready";
    VerifyBusy: TOO_MANY_REQUESTS, "verify_busy", "verification busy";
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "unsupported media type";
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    /// What went wrong and what to do.
    pub(crate) message: String,
    /// The field, parameter or header that it is about.
    pub(crate) field: Option<String>,
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
        map.end()
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
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
            WriteError::DiskFull { .. } | WriteError::TailFull => Code::DiskFull,
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

    #[test]
    fn the_document_lists_every_code_with_its_status_and_no_other() {
        let document = include_str!("../../../docs/api.md");
        let (_, table) = document.split_once("| status | code |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let mut listed: Vec<_> = table.lines().skip(2).collect();
        for code in Code::ALL {
            let (status, name, _) = code.parts();
            let row = format!("| {} | `{name}` |", status.as_u16());
            let before = listed.len();
            listed.retain(|line| !line.starts_with(&row));
            assert_eq!(before, listed.len() + 1, "{row}");
        }
        assert!(listed.is_empty(), "no code of ours: {listed:?}");
    }
}
