//! The requests of the protocol and their answers: `POST /add-checkpoint`, and for monitors `GET /HASH/checkpoint`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use boboyka_tlog::Checkpoint;
use boboyka_tlog::witness::{AddCheckpoint, Refusal, SIZE_TYPE, cosign};
use tokio::time::{Instant, timeout};

use super::origin::Origin;
use super::shard::Answer;
use super::shards::Shards;
use crate::witness_key::WitnessKey;

/// The longest request has 63 hashes and a checkpoint with some signatures.
const BODY_BYTES_MAX: usize = 16 << 10;
/// The body of a request arrives within this time.
const BODY_TIME_MAX: Duration = Duration::from_secs(2);
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

async fn add(State(requests): State<Arc<Requests>>, request: Request) -> Response {
    if !requests.has_room() {
        return later("too many requests in this second");
    }
    let Some(key) = requests.key.get() else {
        return later("the witness has no key yet: its Secret is not mounted");
    };
    let body = match body(request).await {
        Ok(body) => body,
        Err(refused) => return refused,
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

/// The body, unless it is too large or comes too slowly.
async fn body(request: Request) -> Result<Bytes, Response> {
    let read = timeout(BODY_TIME_MAX, Bytes::from_request(request, &()));
    let read = read.await.map_err(|_| {
        let most = BODY_TIME_MAX.as_secs();
        let late = format!("the body did not arrive within {most} s\n");
        answer(408, TEXT, late)
    })?;
    read.map_err(IntoResponse::into_response)
}

async fn newest(State(requests): State<Arc<Requests>>, Path(hash): Path<String>) -> Response {
    if !requests.has_room() {
        return later("too many requests in this second");
    }
    match requests.shards.newest(&format!("{hash}/checkpoint")).await {
        Ok(Some(note)) => answer(200, TEXT, note.to_string()),
        Ok(None) => answer(404, TEXT, "nothing was cosigned of such a log\n".to_owned()),
        Err(why) => later(&why),
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = body(Request::new(never)).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
        let read = body(Request::new(Body::from("old 1"))).await.unwrap();
        assert_eq!(read, "old 1");
    }
}
