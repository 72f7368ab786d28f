//! The API of a sidecar, which listens on its pod's loopback: through the API server and the kubelet to the port.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::reading::Reader;
use crate::refusal::Asked;

/// The port of the API.
pub(crate) const PORT: u16 = 7475;
/// How long a sidecar may say nothing while it answers. A comparison of tables takes a minute.
const SILENCE: Duration = Duration::from_mins(2);
/// The longest line of an answer.
const LINE_MAX: usize = 8 << 20;

/// A connection to one sidecar.
pub(crate) struct Sidecar {
    pod: String,
    sender: SendRequest<Full<Bytes>>,
    forwarder: Portforwarder,
}

/// An error in the sidecar's own words.
#[derive(Deserialize)]
struct Told {
    code: String,
    message: String,
}

/// A connection to the port of a pod's sidecar.
pub(crate) async fn forward(
    reader: &Reader,
    namespace: &str,
    pod: &str,
) -> Result<(Portforwarder, impl AsyncRead + AsyncWrite + Unpin + use<>)> {
    let asked = Asked {
        verb: "get and create",
        resource: "pods/portforward".to_owned(),
        namespace: namespace.to_owned(),
        name: pod.to_owned(),
    };
    let pods: Api<Pod> = Api::namespaced(reader.client(), namespace);
    let ports = [PORT];
    let mut forwarder = reader.ask(asked, pods.portforward(pod, &ports)).await?;
    let stream = forwarder
        .take_stream(PORT)
        .context("the port was asked for")?;
    Ok((forwarder, stream))
}

impl Sidecar {
    /// Connects.
    pub(crate) async fn connect(reader: &Reader, namespace: &str, pod: &str) -> Result<Self> {
        let (forwarder, stream) = forward(reader, namespace, pod).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The request that it carries fails too, and says why.
            let _ = connection.await;
        });
        Ok(Self {
            pod: pod.to_owned(),
            sender,
            forwarder,
        })
    }

    /// Asks; the answer's JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
    ) -> Result<T> {
        let body = self.ask(method, path).await?.collect();
        let body = in_time(body, &self.broke(path)).await?;
        let bytes = body.with_context(|| self.broke(path))?.to_bytes();
        serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "the sidecar of pod {} answers {path} in a form that this program does not know",
                self.pod
            )
        })
    }

    /// Asks for an answer that comes line by line.
    pub(crate) async fn lines(&mut self, path: &str) -> Result<Lines> {
        let body = self.ask("GET", path).await?;
        Ok(Lines {
            body,
            bytes: Vec::new(),
            of: self.broke(path),
        })
    }

    async fn ask(&mut self, method: &str, path: &str) -> Result<Incoming> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("localhost:{PORT}"))
            .body(Full::new(Bytes::new()))?;
        let sent = self.sender.send_request(request);
        let answer = match in_time(sent, &self.broke(path)).await? {
            Ok(answer) => answer,
            Err(error) => return Err(self.unreachable(error).await),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let body = in_time(answer.into_body().collect(), &self.broke(path)).await?;
        let bytes = body?.to_bytes();
        match serde_json::from_slice::<Told>(&bytes) {
            Ok(told) => bail!(
                "the sidecar of pod {} answers {path} with {}: {}",
                self.pod,
                told.code,
                told.message
            ),
            Err(_) => bail!(
                "the sidecar of pod {} answers {path} with {status}",
                self.pod
            ),
        }
    }

    /// What the kubelet says of a port that it can't reach.
    async fn unreachable(&mut self, error: hyper::Error) -> anyhow::Error {
        let told = match self.forwarder.take_error(PORT) {
            Some(told) => told.await,
            None => None,
        };
        let what = format!("could not reach the sidecar of pod {}", self.pod);
        match told {
            Some(told) => anyhow::anyhow!("{what}: {}", told.trim()),
            None => anyhow::Error::new(error).context(what),
        }
    }

    fn broke(&self, path: &str) -> String {
        format!(
            "the sidecar of pod {} did not answer {path} to the end",
            self.pod
        )
    }
}

/// Waits for a part of an answer.
async fn in_time<T>(part: impl Future<Output = T>, of: &str) -> Result<T> {
    let part = tokio::time::timeout(SILENCE, part).await;
    part.map_err(|_| anyhow::anyhow!("{of}: it said nothing for {} s", SILENCE.as_secs()))
}

/// The lines of an answer.
pub(crate) struct Lines {
    body: Incoming,
    bytes: Vec<u8>,
    of: String,
}

impl Lines {
    /// The next line without its line feed; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let rest = self.bytes.split_off(end + 1);
                let line = std::mem::replace(&mut self.bytes, rest);
                return Ok(Some(
                    String::from_utf8_lossy(&line)
                        .trim_end_matches(['\r', '\n'])
                        .to_owned(),
                ));
            }
            if self.bytes.len() > LINE_MAX {
                bail!("{}: a line is longer than {LINE_MAX} bytes", self.of);
            }
            match in_time(self.body.frame(), &self.of).await? {
                Some(frame) => {
                    let frame = frame.with_context(|| self.of.clone())?;
                    self.bytes
                        .extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
                }
                None if self.bytes.is_empty() => return Ok(None),
                None => {
                    return Ok(Some(
                        String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned(),
                    ));
                }
            }
        }
    }
}
