//! The parameters of path and query. Every error in them has the form of the API.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use boboyka_store::RecordName;
use boboyka_strand::RecordType;

use super::error::{ApiError, Code};

const NOT_UTF8: &str = "must be UTF-8, percent-encoded";

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;
/// Length of the records of a page as `MessagePack`, unless its first record is longer.
pub(super) const PAGE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The parameters of the query. None comes twice.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The value of a parameter, if the request has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The record type to filter by, if the request names one.
    pub(super) fn record_type(&self) -> Result<Option<RecordType>, ApiError> {
        let known = self.get("record_type").map(|name| {
            let known: Result<RecordType, _> = name.parse();
            known.map_err(|error| ApiError::parameter("record_type", &error.to_string()))
        });
        known.transpose()
    }

    /// How many elements a page has at most.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        self.get("limit").map_or(Ok(LIMIT_DEFAULT), |text| {
            let limit = text.parse().ok();
            let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
            limit.ok_or_else(|| ApiError::parameter("limit", "must be 1 to 1000"))
        })
    }

    /// Whether the elements of a page have their records.
    pub(super) fn with_data(&self) -> Result<bool, ApiError> {
        match self.get("include") {
            None => Ok(false),
            Some("data") => Ok(true),
            Some(_) => Err(ApiError::parameter("include", "can only be data")),
        }
    }

    /// Rejects unknown parameters.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let must = format!("is not known; there are {}", known.join(", "));
                Err(ApiError::parameter(unknown, &must))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| ApiError::new(Code::BadParameter, error.body_text()))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            match parameters.entry(name) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(taken) => {
                    return Err(ApiError::parameter(taken.key(), "must come once"));
                }
            };
        }
        Ok(Self(parameters))
    }
}

/// Milliseconds; also as `1747000000000.0`, which is how programs print a float.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let float = || text.parse::<f64>().ok();
    let whole = text.parse().ok();
    whole.or_else(|| float()?.to_string().parse().ok())
}

/// The record type in the path, which has keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyedType(pub(super) RecordType);

impl KeyedType {
    fn named(name: &str) -> Result<Self, ApiError> {
        let known: Result<RecordType, _> = name.parse();
        let kind = known.map_err(|error| ApiError::parameter("record_type", &error.to_string()))?;
        match kind.key() {
            Some(_) => Ok(Self(kind)),
            None => Err(ApiError::parameter(
                "record_type",
                "must have keys: project_build, build_queue_item or agent_health; GET /v1/boboyka/events has the others",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyedType {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|_| ApiError::parameter("record_type", NOT_UTF8))?;
        Self::named(&name)
    }
}

/// A record type and a key of it in the path.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) record_type: RecordType,
    pub(super) key: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((name, key)) = path.map_err(|_| ApiError::parameter("key", NOT_UTF8))?;
        let KeyedType(record_type) = KeyedType::named(&name)?;
        Ok(Self { record_type, key })
    }
}

/// A record in the path: its `record_hash`, or its seq.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedRecord(pub(super) RecordName);

impl NamedRecord {
    /// The two are never mixed up: a seq has at most 20 digits.
    fn parse(text: &str) -> Option<Self> {
        let hash = text.parse().ok().map(RecordName::Hash);
        let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
        let seq = || text.parse().ok().filter(|_| is_number);
        hash.or_else(|| seq().map(RecordName::Seq)).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NamedRecord {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await.ok();
        let name = path.and_then(|Path(text)| Self::parse(&text));
        name.ok_or_else(|| {
            let must = "must be a record_hash, 64 hexadecimal digits, or a seq";
            ApiError::parameter("hash", must)
        })
    }
}
