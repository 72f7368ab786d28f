//! The requests of the protocol and their answers: `POST /add-checkpoint`, and for monitors `GET /HASH/checkpoint`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use boboyka_tlog::Checkpoint;
use boboyka_tlog::witness::{AddCheckpoint, Refusal, SIZE_TYPE, cosign};
use tokio::time::Instant;

use super::origin::Origin;
use super::shard::Answer;
use super::shards::Shards;
use crate::witness_key::WitnessKey;

/// The longest request has 63 hashes and a checkpoint with some signatures.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Requests a second; checking one takes about 0.1 ms. Ten thousand strands a minute are 167.
const PER_SECOND: u32 = 500;
const TEXT: &str = "text/plain; charset=utf-8";

/// What answers.
pub(super) struct Requests {
    key: Arc<WitnessKey>,
    shards: Shards,
    rate: Mutex<Rate>,
}

/// Requests of the second that began last.
struct Rate {
    second: Instant,
    count: u32,
}

impl Requests {
    pub(super) fn new(key: Arc<WitnessKey>, shards: Shards) -> Self {
        let rate = Rate {
            second: Instant::now(),
            count: 0,
        };
        Self {
            key,
            shards,
            rate: Mutex::new(rate),
        }
    }

    /// The routes.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/add-checkpoint", post(add))
            .route("/{hash}/checkpoint", get(newest))
            .route("/vkey", get(vkey))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::new(self))
    }

    fn has_room(&self) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rate.second.elapsed() >= Duration::from_secs(1) {
            *rate = Rate {
                second: Instant::now(),
                count: 0,
            };
        }
        rate.count += 1;
        rate.count <= PER_SECOND
    }
}

async fn add(State(requests): State<Arc<Requests>>, body: Bytes) -> Response {
    if !requests.has_room() {
        return later("too many requests in this second");
    }
    let Some(key) = requests.key.get() else {
        return later("the witness has no key yet: its Secret is not mounted");
    };
    let read = || -> Result<(AddCheckpoint, Origin), Refusal> {
        let request = AddCheckpoint::from_bytes(&body)?;
        let checkpoint = Checkpoint::of_note(&request.checkpoint).map_err(Refusal::Checkpoint)?;
        let origin = Origin::read(checkpoint.origin());
        let unknown = || Refusal::Origin(checkpoint.origin().to_owned());
        Ok((request, origin.ok_or_else(unknown)?))
    };
    let (request, origin) = match read() {
        Ok(read) => read,
        Err(refusal) => return answer(refusal.status(), TEXT, refusal.body()),
    };
    match requests.shards.add(request, origin).await {
        Answer::Remembered(accepted, seconds) => {
            answer(200, TEXT, cosign(&key, &accepted.checkpoint, seconds))
        }
        Answer::Refused(no) => {
            let is_size = no.status() == 409;
            answer(
                no.status(),
                if is_size { SIZE_TYPE } else { TEXT },
                no.body(),
            )
        }
        Answer::Unavailable(why) => later(&why),
    }
}

async fn newest(State(requests): State<Arc<Requests>>, Path(hash): Path<String>) -> Response {
    if !requests.has_room() {
        return later("too many requests in this second");
    }
    match requests.shards.newest(&format!("{hash}/checkpoint")).await {
        Some(note) => answer(200, TEXT, note.to_string()),
        None => answer(404, TEXT, "nothing was cosigned of such a log\n".to_owned()),
    }
}

async fn vkey(State(requests): State<Arc<Requests>>) -> Response {
    match requests.key.vkey() {
        Some(vkey) => answer(200, TEXT, format!("{vkey}\n")),
        None => later("the witness has no key yet: its Secret is not mounted"),
    }
}

fn later(why: &str) -> Response {
    let headers = [(header::RETRY_AFTER, "5"), (header::CONTENT_TYPE, TEXT)];
    (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{why}\n")).into_response()
}

fn answer(status: u16, kind: &'static str, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}
