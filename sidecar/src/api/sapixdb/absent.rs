//! What SapixDB has and a sidecar does not: each answer says what to use instead.

use crate::api::error::{ApiError, Code};

pub(super) async fn blobs() -> ApiError {
    refusal(
        "blobs: a record has at most 1 MiB; keep larger things elsewhere, and their hash in a record",
    )
}

pub(super) async fn graph() -> ApiError {
    refusal("graph: write the edges as records of a collection")
}

pub(super) async fn admin() -> ApiError {
    refusal(
        "API keys of its own: it checks the one key in the file of --api-key-file, if it is started with that",
    )
}

pub(super) async fn control() -> ApiError {
    refusal("checkpoints: every answered write is durable already")
}

fn refusal(what: &str) -> ApiError {
    ApiError::new(Code::NotSupported, format!("the sidecar has no {what}"))
}
