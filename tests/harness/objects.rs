//! An object store that others wrote, behind an edge that does what a healthy one can't be made to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::process::{GUARD, Process, free_address, wait_until};
use crate::provisioned;

/// The one bucket.
pub const BUCKET: &str = "fleet";
/// The key's name.
pub const KEY: &str = "archiver";
/// The key.
pub const SECRET: &str = "archivers-secret-0123456789";

/// A running store with one bucket.
#[derive(Debug)]
pub struct Objects {
    process: Option<Process>,
    folder: TempDir,
    upstream: SocketAddr,
    address: SocketAddr,
    edge: Edge,
}

#[derive(Clone, Debug)]
struct Edge {
    upstream: SocketAddr,
    client: reqwest::Client,
    /// Answers with this instead of passing a request on.
    status: Arc<Mutex<Option<u16>>>,
    /// Whether answers to uploads of segments wait, …
    held: watch::Sender<bool>,
    /// … and how many were passed on.
    uploads: watch::Sender<u64>,
}

impl Objects {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("buckets").join(BUCKET)).unwrap();
        let upstream = free_address();
        let edge = Edge {
            upstream,
            client: crate::client::client(),
            status: Arc::default(),
            held: watch::Sender::new(false),
            uploads: watch::Sender::new(0),
        };
        let router = axum::Router::new()
            .fallback(pass)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(edge.clone());
        let address = crate::serve(router).await;
        let mut objects = Self {
            process: None,
            folder,
            upstream,
            address,
            edge,
        };
        objects.restart().await;
        objects
    }

    /// Ends it; the edge then answers 502.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again on its folder.
    pub async fn restart(&mut self) {
        self.process = None;
        let mut command = Command::new(provisioned::objects().join("versitygw"));
        command
            .env("ROOT_ACCESS_KEY", KEY)
            .env("ROOT_SECRET_KEY", SECRET)
            .args(["--port", &self.upstream.to_string(), "posix"])
            .arg(self.folder.path().join("buckets"));
        let mut process = Process::start(&mut command, &self.folder.path().join("log"));
        let url = format!("http://{}/", self.upstream);
        wait_until(
            GUARD,
            || {
                assert!(!process.has_ended(), "versitygw ended:\n{}", process.log());
                let answer = self.edge.client.get(&url).send();
                async move { answer.await.is_ok() }
            },
            || "versitygw did not answer".to_owned(),
        )
        .await;
        self.process = Some(process);
    }

    /// Has every request answered with a status, or passed on again.
    pub fn answer(&self, status: Option<u16>) {
        *self.edge.status.lock().unwrap() = status;
    }

    /// Has answers to uploads of segments wait, or no longer; the uploads are done all the same.
    pub fn hold(&self, held: bool) {
        self.edge.held.send_replace(held);
    }

    /// Waits until as many uploads of segments as this are done.
    pub async fn uploaded(&self, count: u64) {
        let mut uploads = self.edge.uploads.subscribe();
        let waited = uploads.wait_for(|done| *done >= count);
        crate::process::ends("an upload", waited).await.unwrap();
    }

    /// How many uploads of segments are done.
    pub fn uploads(&self) -> u64 {
        *self.edge.uploads.borrow()
    }

    /// The archive of a fleet in it.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/strands")
    }

    /// How it is reached, with a key.
    pub fn variables(&self, secret: &str) -> Vec<(String, String)> {
        variables(self.address, secret)
    }

    /// The same without the edge.
    pub fn direct(&self, secret: &str) -> Vec<(String, String)> {
        variables(self.upstream, secret)
    }

    /// The folder with a strand's objects as files.
    pub fn folder(&self, strand: &str) -> PathBuf {
        let bucket = self.folder.path().join("buckets").join(BUCKET);
        bucket.join("strands").join(strand)
    }
}

fn variables(address: SocketAddr, secret: &str) -> Vec<(String, String)> {
    let endpoint = format!("http://{address}");
    [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Whether a path is that of a segment.
fn has_segment(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|end| end == "seg")
}

async fn pass(
    State(edge): State<Edge>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answered = *edge.status.lock().unwrap();
    if let Some(status) = answered {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let is_upload = method == Method::PUT && has_segment(uri.path());
    let url = format!("http://{}{uri}", edge.upstream);
    // The signature covers the host that the client named.
    let request = edge.client.request(method, url).headers(headers).body(body);
    let Ok(answer) = request.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if is_upload {
        edge.uploads.send_modify(|done| *done += 1);
        let mut held = edge.held.subscribe();
        let _ = held.wait_for(|held| !held).await;
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap_or_default();
    let length = headers.get("content-length").cloned();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove("transfer-encoding");
    if let Some(length) = length {
        response.headers_mut().insert("content-length", length);
    }
    response
}
