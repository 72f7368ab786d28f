//! Why a record is refused. Each error names the field it is about, by its path.

use std::fmt;

use super::limits::{
    COLLECTION_MAX_BYTES, DEPTH_MAX, OWN_AGENT, PAYLOAD_MAX_BYTES, TAG_PREFIX, TYPE_TAG,
};
use super::number::NumberFault;
use crate::record_type::FieldKind;

/// Why a record's data is refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The text is not JSON.
    #[error("not valid JSON: {message}")]
    Syntax {
        /// The parser's words, with line and column.
        message: String,
    },
    /// The data is JSON, but no object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// A field that the type requires is absent or null.
    #[error("is required")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A known field has a value of another kind.
    #[error("must be {}", Expected(*.expected))]
    WrongKind {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: FieldKind,
    },
    /// Text, in a value or a key, holds U+0000, which Postgres can't store.
    #[error("must not contain the character U+0000")]
    Nul {
        /// Path of the field.
        field: String,
    },
    /// Objects and lists are nested too deeply.
    #[error("is nested deeper than {DEPTH_MAX} levels")]
    TooDeep {
        /// Path of the field.
        field: String,
    },
    /// An object has the same key twice.
    #[error("appears more than once")]
    DuplicateKey {
        /// Path of the field.
        field: String,
    },
    /// A number that neither a 64-bit integer nor a double can hold.
    #[error("{fault}")]
    Number {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        fault: NumberFault,
    },
    /// The caller sent [`TYPE_TAG`] itself.
    #[error("is set by the strand and must not be sent")]
    Reserved,
    /// The caller sent a document with a key that the strand sets.
    #[error("begins with {TAG_PREFIX}, which is kept for the strand: use another name")]
    ReservedKey {
        /// The key.
        field: String,
    },
    /// The name of a collection is none.
    #[error(
        "must be 1 to {COLLECTION_MAX_BYTES} bytes of text without slashes and control characters that does not begin with {TAG_PREFIX}"
    )]
    Collection,
    /// The caller gave itself out as the strand.
    #[error("must not be {OWN_AGENT}, which is the agent of the strand's own records")]
    ReservedAgent,
    /// The record is larger than the strand takes.
    #[error("the record has {bytes} bytes of MessagePack; the most is {PAYLOAD_MAX_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
}

impl RecordError {
    /// Path of the field that the error is about, such as `metadata.env` or `steps[3]`; `None` when it
    /// is about the data as a whole.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { field } | Self::WrongKind { field, .. } => Some(field),
            Self::Nul { field }
            | Self::TooDeep { field }
            | Self::DuplicateKey { field }
            | Self::Number { field, .. }
            | Self::ReservedKey { field } => Some(field),
            Self::Collection => Some("collection"),
            Self::Reserved => Some(TYPE_TAG),
            Self::ReservedAgent => Some("agent_id"),
            Self::Syntax { .. } | Self::NotAnObject | Self::TooLarge { .. } => None,
        }
    }
}

/// What a field must be, in words.
struct Expected(FieldKind);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldKind::Text => f.write_str("text that is not empty"),
            FieldKind::OneOf(allowed) => write!(f, "one of {}", allowed.join(", ")),
            FieldKind::Integer => f.write_str("a whole number that fits into 64 bits"),
            FieldKind::Number => f.write_str("a number"),
            FieldKind::Object => f.write_str("an object"),
        }
    }
}
