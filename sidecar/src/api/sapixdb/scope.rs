//! What a name means. The client's collections and agents are one thing: a name in the path. The name of a record type
//! or of its table stands for the records of that type, which are checked and mirrored as on ingest. Any other name is a
//! collection of documents.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use boboyka_strand::record::{COLLECTION_TAG, text_field};
use boboyka_strand::{Block, Flags, Record, RecordError, RecordType};

use crate::api::error::ApiError;

/// Records that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All records of the strand.
    All,
    /// Those of a type.
    Type(RecordType),
    /// The documents of a collection.
    Collection(String),
}

impl Scope {
    /// What a name stands for.
    pub(super) fn named(name: &str) -> Self {
        let mut types = RecordType::MIRRORED.into_iter();
        let is_named = |kind: &RecordType| kind.name() == name || kind.table() == Some(name);
        match types.find(is_named) {
            Some(kind) => Self::Type(kind),
            None => Self::Collection(name.to_owned()),
        }
    }

    /// The same for a name that a caller sent.
    ///
    /// # Errors
    /// No record can have it.
    pub(super) fn checked(name: &str) -> Result<Self, RecordError> {
        let scope = Self::named(name);
        if let Self::Collection(_) = scope {
            scope.record("{}")?;
        }
        Ok(scope)
    }

    /// The name of what a block belongs to. A tombstone belongs where its record does.
    pub(super) fn of(block: &Block) -> &str {
        let kind = block.header.record_type;
        let collection = match kind.table() {
            None => text_field(&block.payload, COLLECTION_TAG),
            Some(_) => None,
        };
        collection.unwrap_or(kind.name())
    }

    /// The record type of all its records, notes about them excepted.
    pub(super) fn record_type(&self) -> Option<RecordType> {
        match self {
            Self::All => None,
            Self::Type(kind) => Some(*kind),
            Self::Collection(_) => Some(RecordType::Document),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Type(kind) => Some(kind.name()),
            Self::Collection(name) => Some(name),
        }
    }

    /// Whether a block is one of its records or a note about one.
    pub(super) fn holds(&self, block: &Block) -> bool {
        self.name().is_none_or(|name| Self::of(block) == name)
    }

    /// The record that a caller writes into it.
    pub(super) fn record(&self, data: &str) -> Result<Record, RecordError> {
        match self {
            Self::All => Err(RecordError::Collection),
            Self::Type(kind) => Record::from_json(*kind, data),
            Self::Collection(name) => Record::document(name, data),
        }
    }
}

/// Whether a block is a record, not a note that one was deleted or restored.
pub(super) fn is_record(block: &Block) -> bool {
    let flags = block.header.flags;
    !flags.contains(Flags::TOMBSTONE) && !flags.contains(Flags::MUTATION)
}

/// The scope that the path's `name` stands for.
#[derive(Debug)]
pub(super) struct Named(pub(super) Scope);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let path = path.map_err(|_| ApiError::parameter("name", "must be UTF-8"))?;
        let name = path.0.into_iter().find(|(key, _)| key == "name");
        let (_, name) = name.ok_or_else(ApiError::internal)?;
        Ok(Self(Scope::checked(&name)?))
    }
}
