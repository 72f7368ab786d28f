//! Admission calls at a given rate, as an API server sends them: over connections that stay. A call's time counts from
//! when it was due, so that a stall is seen by every call that it holds up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::figure::quantile;

/// Connections that an API server might keep.
const CONNECTIONS: usize = 8;
/// Calls in a second.
pub(crate) const RATE: u32 = 200;

/// One round's times, in milliseconds.
pub(crate) struct Times {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Whom to call, and with which review.
pub(crate) struct Calls {
    address: SocketAddr,
    connector: TlsConnector,
    /// The path of the webhook.
    path: String,
    review: Value,
    /// Whether a pod must be given a sidecar.
    injects: bool,
}

impl Calls {
    /// Calls of dry runs for a pod of a namespace.
    pub(crate) fn new(
        address: SocketAddr,
        path: &str,
        bundle: &[u8],
        namespace: &str,
        pod: &Value,
        injects: bool,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let settings = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            connector: TlsConnector::from(Arc::new(settings)),
            path: format!("{path}?timeout=5s"),
            review: review(namespace, pod),
            injects,
        }
    }

    /// Calls for this time.
    pub(crate) async fn run(&self, time: Duration) -> Times {
        let (due, calls) = mpsc::unbounded_channel::<Instant>();
        let calls = Arc::new(Mutex::new(calls));
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = self.connect().await;
            connections.spawn(work(
                connection,
                self.path.clone(),
                self.review.clone(),
                self.injects,
                Arc::clone(&calls),
            ));
        }
        let count = RATE * u32::try_from(time.as_secs()).unwrap();
        // A thread: the runtime's timers are coarse.
        let clock = std::thread::spawn(move || {
            let begun = Instant::now();
            for number in 0..count {
                let at = begun + Duration::from_secs(1) / RATE * number;
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                due.send(at).unwrap();
            }
        });
        let mut times: Vec<f64> = connections.join_all().await.concat();
        clock.join().unwrap();
        assert_eq!(times.len(), count as usize);
        times.sort_by(f64::total_cmp);
        Times {
            p50: quantile(&times, 0.5),
            p99: quantile(&times, 0.99),
        }
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = self
            .connector
            .connect("127.0.0.1".try_into().unwrap(), stream)
            .await
            .unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender
    }
}

/// Takes the next call that is due, for as long as there is one; the times of all, in milliseconds.
async fn work(
    mut connection: SendRequest<Full<Bytes>>,
    path: String,
    mut review: Value,
    injects: bool,
    calls: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
) -> Vec<f64> {
    let mut times = Vec::new();
    loop {
        let next = calls.lock().await.recv().await;
        let Some(due) = next else { return times };
        review["request"]["uid"] = format!("{:032x}", fastrand::u128(..)).into();
        let request = hyper::Request::post(&path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(review.to_string())))
            .unwrap();
        let answer = connection.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        times.push(due.elapsed().as_secs_f64() * 1000.0);
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let response = &answer["response"];
        assert_eq!(response["uid"], review["request"]["uid"]);
        assert_eq!(response["allowed"], true, "{response}");
        assert_eq!(response["patch"].is_string(), injects, "{response}");
    }
}

fn review(namespace: &str, pod: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": namespace, "operation": "CREATE", "dryRun": true,
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller",
            "groups": ["system:serviceaccounts", "system:authenticated"]},
        "object": pod, "oldObject": null,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]},
    }})
}
