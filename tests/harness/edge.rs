//! The edge before PostgREST: plays Supabase's gateway (prefix, keys of both styles) and does what a
//! healthy PostgREST can't be made to do.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

/// The longest body the edge takes.
const BODY_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What the edge does with one request instead of passing it on.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with a status, a body, and perhaps a `Retry-After`.
    Status(u16, &'static str, Option<&'static str>),
    /// Passes it on, and answers so late.
    Slow(Duration),
    /// Passes it on, and never tells what came of it: the connection ends.
    Ambiguous,
    /// Ends the connection in the middle of the upload.
    Cut,
    /// Answers with a status at once; the body breaks off after this time.
    SlowBody(u16, Duration),
    /// Ends the connection, and passes the request on only after this time.
    Late(Duration),
}

/// Keys that the edge takes, faults that are due, requests seen.
#[derive(Debug, Default)]
pub(crate) struct EdgeState {
    pub(crate) jwt: String,
    pub(crate) secret: String,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) question_faults: VecDeque<Fault>,
    /// A longer body is cut off in its upload, as some gateways do instead of answering 413.
    pub(crate) cut_above_bytes: Option<u64>,
    pub(crate) requests: u64,
    /// Every key that a request came with.
    pub(crate) shown: HashSet<String>,
    /// Whether requests wait.
    pub(crate) held: watch::Sender<bool>,
    /// A body with this text is refused with 403 and a web page, as a firewall does.
    pub(crate) forbidden_text: Option<String>,
}

#[derive(Clone)]
struct Shared {
    state: Arc<Mutex<EdgeState>>,
    upstream: SocketAddr,
    client: reqwest::Client,
    /// What PostgREST is given, whatever the caller's key is.
    upstream_jwt: String,
}

/// Serves the edge before a PostgREST; its address.
pub(crate) async fn start(
    state: Arc<Mutex<EdgeState>>,
    upstream: SocketAddr,
    upstream_jwt: String,
) -> SocketAddr {
    let shared = Shared {
        state,
        upstream,
        client: crate::client::client(),
        upstream_jwt,
    };
    crate::serve(Router::new().fallback(pass).with_state(shared)).await
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response {
    let (count, mut held) = {
        let mut state = shared.state.lock().unwrap();
        state.requests += 1;
        (state.requests, state.held.subscribe())
    };
    let released = held.wait_for(|held| !held).await.map(drop);
    assert!(released.is_ok(), "request {count} was held back to the end");
    let request = match past_the_firewall(&shared, request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let fault = {
        let mut state = shared.state.lock().unwrap();
        if let Some(key) = request.headers().get("apikey") {
            let key = key.to_str().unwrap().to_owned();
            state.shown.insert(key);
        }
        if !is_let_in(&state, request.headers()) {
            let body = r#"{"message":"Invalid API key","hint":"Double check your API key."}"#;
            return (StatusCode::UNAUTHORIZED, body).into_response();
        }
        let length = request.headers().get("content-length");
        let length: u64 = length.map_or(0, |text| text.to_str().unwrap().parse().unwrap());
        if state.cut_above_bytes.is_some_and(|limit| length > limit) {
            Some(Fault::Cut)
        } else if is_write(&request) {
            state.faults.pop_front()
        } else {
            state.question_faults.pop_front()
        }
    };
    match fault {
        Some(Fault::Cut) => panic!("the upload is cut off here, on purpose"),
        Some(Fault::Late(delay)) => return late(shared, request, delay).await,
        Some(Fault::SlowBody(status, delay)) => return slow_body(status, delay),
        _ => {}
    }
    if let Some(Fault::Status(status, body, retry_after)) = fault {
        let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert("retry-after", seconds.parse().unwrap());
        }
        return response;
    }
    let answer = forward(&shared, request).await;
    match fault {
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Ambiguous) => panic!("the connection ends here, on purpose"),
        Some(Fault::Status(..) | Fault::Cut | Fault::SlowBody(..) | Fault::Late(_)) | None => {}
    }
    answer
}

/// Whether a request writes rows; what the comparison asks meanwhile takes no fault that is meant for a write.
fn is_write(request: &Request) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.uri().path().contains("/rpc/")
}

/// Refuses a body with the forbidden text, as a firewall does, with a web page.
async fn past_the_firewall(shared: &Shared, request: Request) -> Result<Request, Response> {
    let Some(forbidden) = shared.state.lock().unwrap().forbidden_text.clone() else {
        return Ok(request);
    };
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_MAX_BYTES)
        .await
        .unwrap_or_default();
    if String::from_utf8_lossy(&body).contains(&forbidden) {
        let page = ([("content-type", "text/html")], "<html>Forbidden</html>");
        return Err((StatusCode::FORBIDDEN, page).into_response());
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Takes the request whole, ends the connection, and passes it on later.
async fn late(shared: Shared, request: Request, delay: Duration) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_MAX_BYTES)
        .await
        .unwrap_or_default();
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        forward(&shared, Request::from_parts(parts, Body::from(body))).await;
    });
    panic!("the connection ends here, on purpose");
}

/// Headers now, then the first half of a body, then nothing more.
fn slow_body(status: u16, delay: Duration) -> Response {
    let half = futures_util::stream::once(async { Ok("{\"code\":\"23") });
    let end = futures_util::stream::once(async move {
        tokio::time::sleep(delay).await;
        Err(std::io::Error::other(
            "the body breaks off here, on purpose",
        ))
    });
    let body = Body::from_stream(futures_util::StreamExt::chain(half, end));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

/// Old keys come twice, new ones as `apikey` only or identical in both places.
fn is_let_in(state: &EdgeState, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let key = text("apikey").unwrap_or_default();
    let bearer = text("authorization").map(|value| value.trim_start_matches("Bearer "));
    if key.is_empty() {
        false
    } else if key == state.jwt {
        bearer == Some(key)
    } else {
        key == state.secret && bearer.is_none_or(|bearer| bearer == key)
    }
}

async fn forward(shared: &Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let Some(path) = path.strip_prefix("/rest/v1") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let body = axum::body::to_bytes(body, BODY_MAX_BYTES)
        .await
        .unwrap_or_default();
    let url = format!("http://{}{path}", shared.upstream);
    let mut headers = parts.headers;
    for name in ["host", "apikey", "authorization", "content-length"] {
        headers.remove(name);
    }
    let sent = shared
        .client
        .request(parts.method, url)
        .headers(headers)
        .bearer_auth(&shared.upstream_jwt)
        .body(body)
        .send();
    let Ok(answer) = sent.await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap_or_default()));
    *response.status_mut() = status;
    for name in ["content-type", "content-range", "retry-after"] {
        if let Some(value) = headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
