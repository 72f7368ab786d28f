//! What a caller is told when something is refused: a status and `{error, code, message, field?}`.
//! The message is for people and names the field; what only the log should say is not in here.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use boboyka_strand::RecordError;
use serde::Serialize;

use crate::store::{KeyConflict, ReadError, WriteError};

/// How long a caller should wait when the queue is full: some commits.
const RETRY_AFTER_S: &str = "1";

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ApiError {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    /// What went wrong, in a few words.
    error: &'static str,
    /// What went wrong, for programs.
    pub(crate) code: &'static str,
    /// What went wrong and what to do.
    pub(crate) message: String,
    /// The field, parameter or header that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        error: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error,
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
        let message = format!("{name} {must}");
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_parameter",
            "bad parameter",
            message,
        )
        .about(name)
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            "malformed JSON",
            message,
        )
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "too large",
            message,
        )
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "not found", message)
    }

    /// Something that is not the caller's fault; the log says what.
    pub(crate) fn internal() -> Self {
        let message = "the sidecar could not do it; its log says why";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error",
            message,
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            let seconds = HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        let invalid = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code, what) = match &error {
            RecordError::Syntax { .. } => {
                (StatusCode::BAD_REQUEST, "malformed_json", "malformed JSON")
            }
            RecordError::NotAnObject => (invalid, "not_an_object", "not an object"),
            RecordError::Missing { .. } => (invalid, "missing_field", "missing field"),
            RecordError::WrongKind { .. } => (invalid, "invalid_field", "invalid field"),
            RecordError::Nul { .. } => (invalid, "nul_in_text", "NUL in text"),
            RecordError::TooDeep { .. } => (invalid, "too_deep", "nested too deep"),
            RecordError::DuplicateKey { .. } => (invalid, "duplicate_field", "duplicate field"),
            RecordError::Number { .. } => (invalid, "number_not_kept", "number can't be kept"),
            RecordError::Reserved => (invalid, "reserved_field", "reserved field"),
            RecordError::TooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "too large")
            }
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
            status,
            error: what,
            code,
            message,
            field,
        }
    }
}

impl From<KeyConflict> for ApiError {
    fn from(conflict: KeyConflict) -> Self {
        let error = match conflict {
            KeyConflict::OtherContent => Self::new(
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "idempotency conflict",
                conflict.to_string(),
            ),
            KeyConflict::Unreadable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "strand_damaged",
                "strand damaged",
                conflict.to_string(),
            ),
        };
        error.about("idempotency_key")
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let (status, code, what) = match error {
            WriteError::QueueFull => (StatusCode::TOO_MANY_REQUESTS, "queue_full", "queue full"),
            WriteError::DiskFull { .. } => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk_full", "disk full")
            }
            WriteError::Poisoned => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store_poisoned",
                "store poisoned",
            ),
            WriteError::Closed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "shutting_down",
                "shutting down",
            ),
        };
        Self::new(status, code, what, error.to_string())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        tracing::error!(error = crate::causes(&error), "could not read the strand");
        match &error {
            ReadError::Damaged { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "strand_damaged",
                "strand damaged",
                format!("{error}; GET /v1/boboyka/verify tells more"),
            ),
            ReadError::Io { .. } | ReadError::Tail(_) => Self::internal(),
        }
    }
}
