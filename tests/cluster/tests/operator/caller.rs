//! What an agent asks its sidecar: a connection that stays open.

use std::time::Duration;

use boboyka_cluster::TestNamespace;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;

/// How long an agent waits for an answer: the connection to a pod that was deleted may hang.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection to the sidecar of a pod, as its app has it.
pub(crate) struct Caller(SendRequest<Full<Bytes>>);

impl Caller {
    /// Connects.
    pub(crate) async fn to(namespace: &TestNamespace, pod: &str) -> anyhow::Result<Self> {
        let stream = namespace.port_forward(pod, 7475).await?;
        let (caller, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self(caller))
    }

    /// Asks; the answer's status and JSON.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<(u16, Value)> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:7475")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))?;
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.0.send_request(request)).await??;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

/// Every event that the sidecar of a pod has, with its data.
pub(crate) async fn all_events(namespace: &TestNamespace, pod: &str) -> Vec<Value> {
    let mut caller = Caller::to(namespace, pod).await.unwrap();
    let mut events = Vec::new();
    let mut path = "/v1/boboyka/events?limit=1000&include=data".to_owned();
    loop {
        let (status, page) = caller.ask("GET", &path, "").await.unwrap();
        assert_eq!(status, 200, "{page}");
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => {
                path = format!("/v1/boboyka/events?limit=1000&include=data&cursor={cursor}");
            }
            None => return events,
        }
    }
}
