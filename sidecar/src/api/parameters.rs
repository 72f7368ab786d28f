//! The parameters of path and query. Every error in them has the form of the API.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use boboyka_strand::Hash;

use super::error::{ApiError, Code};

/// The parameters of the query. None comes twice.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The value of a parameter, if the request has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
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

/// The `record_hash` in the path.
#[derive(Debug)]
pub(super) struct RecordHash(pub(super) Hash);

impl<S: Send + Sync> FromRequestParts<S> for RecordHash {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await.ok();
        let hash = path.and_then(|Path(hash)| hash.parse().ok());
        hash.map(Self).ok_or_else(|| {
            ApiError::parameter("hash", "must be a record_hash: 64 hexadecimal digits")
        })
    }
}
