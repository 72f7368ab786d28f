//! The strand's transparency log, in the public forms: `GET /v1/boboyka/log/…`, `/v1/boboyka/proof/{hash}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use boboyka_store::{Proof, Published, RecordName, Store, TlogError, causes};
use boboyka_strand::Hash;
use boboyka_tlog::tile::Place;
use boboyka_tlog::{Checkpoint, Note};
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{ApiError, Code};
use super::parameters::{NamedRecord, Parameters};
use super::read::no_record;
use super::state::Api;
use super::unreadable;

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// A checkpoint is hardly older than this while the strand grows.
const SOON: &str = "public, max-age=1";
/// Tiles never change.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The newest checkpoint.
pub(super) async fn checkpoint(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let newest = newest(&api.store)?;
    Ok(answer(TEXT, SOON, newest.note.to_string().into_bytes()))
}

/// The newest checkpoint that a witness has cosigned.
pub(super) async fn cosigned(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let note = cosigned_note(&api)?;
    Ok(answer(TEXT, SOON, note.to_string().into_bytes()))
}

/// The verifier key.
pub(super) async fn vkey(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let newest = newest(&api.store)?;
    Ok(answer(
        TEXT,
        SOON,
        format!("{}\n", newest.vkey).into_bytes(),
    ))
}

/// A tile, or the entries of one.
pub(super) async fn tile(
    State(api): State<Arc<Api>>,
    Path(path): Path<String>,
) -> Result<Response, ApiError> {
    let place = Place::from_path(&format!("tile/{path}"))
        .map_err(|error| ApiError::new(Code::BadParameter, error.to_string()).about("tile"))?;
    let bytes = reading(&api, move |store| match place {
        Place::Tile(tile) => {
            let hashes = store.tlog_tile(tile)?;
            Ok(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
        }
        Place::Entries(entries) => store.tlog_entries(entries),
    });
    match bytes.await? {
        Ok(bytes) => Ok(answer(BYTES, FOREVER, bytes)),
        // A file that is not there, as the format has it.
        Err(error @ (TlogError::Absent { .. } | TlogError::Pruned { .. })) => {
            Err(ApiError::not_found(error.to_string()).about("tile"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The proof that the tree of one size begins with that of another.
#[derive(Serialize, JsonSchema)]
pub(super) struct Consistency {
    from: u64,
    to: u64,
    hashes: Vec<String>,
}

/// A consistency proof between two sizes.
pub(super) async fn consistency(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.only(&["from", "to"])?;
    let size = |name: &str| {
        let text = parameters.get(name);
        let size = text.and_then(|text| text.parse::<u64>().ok());
        size.ok_or_else(|| ApiError::parameter(name, "must be a size of the log, a whole number"))
    };
    let (from, to) = (size("from")?, size("to")?);
    let hashes = reading(&api, move |store| store.tlog_consistency(from, to));
    let hashes = match hashes.await? {
        Ok(hashes) => hashes.iter().map(ToString::to_string).collect(),
        Err(error @ TlogError::Absent { .. }) => {
            return Err(ApiError::not_found(error.to_string()).about("to"));
        }
        Err(error @ TlogError::Proof(_)) => {
            return Err(ApiError::new(Code::BadParameter, error.to_string()).about("from"));
        }
        Err(error @ TlogError::Pruned { .. }) => return Err(ApiError::from(error).about("from")),
        Err(error) => return Err(error.into()),
    };
    Ok(axum::Json(Consistency { from, to, hashes }).into_response())
}

/// The `.tlog-proof` of a record.
pub(super) async fn proof(
    State(api): State<Arc<Api>>,
    NamedRecord(name): NamedRecord,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.only(&["cosigned"])?;
    let proof = match parameters.get("cosigned") {
        None | Some("false") => reading(&api, move |store| store.prove(&name)).await??,
        Some("true") => cosigned_proof(&api, name).await?,
        Some(_) => return Err(ApiError::parameter("cosigned", "must be true or false")),
    };
    let proof = proof.ok_or_else(|| no_record(&api, name))?;
    let hash = Hash::of_header(proof.bundle.extra.as_deref().unwrap_or_default());
    let name = format!("attachment; filename=\"{hash}.tlog-proof\"");
    let mut response = answer(TEXT, SOON, proof.bundle.to_string().into_bytes());
    if let Ok(name) = name.parse() {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The proof under the newest cosigned checkpoint, which does not cover what is newer than it.
async fn cosigned_proof(api: &Arc<Api>, name: RecordName) -> Result<Option<Proof>, ApiError> {
    let note = cosigned_note(api)?;
    let checkpoint = Checkpoint::of_note(&note).map_err(|_| ApiError::internal())?;
    let size = checkpoint.size();
    let proof = reading(api, move |store| store.prove_under(&name, size, &note)).await?;
    match proof {
        Err(TlogError::Unsigned { seq, size }) => Err(ApiError::not_found(format!(
            "the newest cosigned checkpoint covers {size} records, and this is record {seq}: witnesses are asked again \
             within half a minute"
        ))),
        other => Ok(other?),
    }
}

fn cosigned_note(api: &Api) -> Result<Note, ApiError> {
    let note = api.cosigned.borrow().note.clone();
    note.ok_or_else(|| ApiError::not_found("no witness has cosigned this log yet"))
}

fn newest(store: &Store) -> Result<Arc<Published>, ApiError> {
    store.checkpoint().ok_or_else(|| {
        let why = store.tlog_status().unavailable;
        why.map_or(TlogError::NotBegun, TlogError::Unavailable)
            .into()
    })
}

/// Few reads of the transparency log go on at a time: each holds a frame or two in memory.
async fn reading<T: Send + 'static>(
    api: &Arc<Api>,
    read: impl FnOnce(&Store) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let permit = Arc::clone(&api.tlog_reads).acquire_owned().await;
    let store = api.store.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        read(&store)
    });
    done.await.map_err(|_| ApiError::internal())
}

fn answer(kind: &'static str, cache: &'static str, content: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)];
    (headers, content).into_response()
}

impl From<TlogError> for ApiError {
    fn from(error: TlogError) -> Self {
        match error {
            TlogError::Unavailable(_) | TlogError::NotBegun => {
                Self::new(Code::LogUnavailable, error.to_string())
            }
            TlogError::Pruned { .. } => Self::new(Code::Pruned, error.to_string()),
            TlogError::Absent { .. } | TlogError::Unsigned { .. } => {
                Self::not_found(error.to_string())
            }
            TlogError::Proof(error) => Self::new(Code::BadParameter, error.to_string()),
            TlogError::Read(error) => error.into(),
            TlogError::Append(error) => error.into(),
            TlogError::File(_)
            | TlogError::Write(_)
            | TlogError::KeyFile { .. }
            | TlogError::Key(_) => {
                unreadable::log(&causes(&error));
                Self::internal()
            }
        }
    }
}
