//! The reference of admission: the same https server, which reads a review and lets the pod in as it is.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use axum_server::tls_rustls::RustlsConfig;
use boboyka_cluster::Cluster;
use boboyka_tests::process::{Process, free_address, wait_until};
use bytes::Bytes;
use serde_json::{Value, json};

const CERTIFICATE: &str = "echo.crt";
const KEY: &str = "echo.key";

/// The echo in a process of its own.
pub(crate) struct Echo {
    _process: Process,
    pub(crate) address: SocketAddr,
    /// Whom to trust.
    pub(crate) authority: String,
}

impl Echo {
    /// Starts it.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let (certificate, key, authority) = cluster.server_certificate("127.0.0.1").unwrap();
        let folder = cluster.state();
        std::fs::write(folder.join(CERTIFICATE), certificate).unwrap();
        std::fs::write(folder.join(KEY), key).unwrap();
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("--serve-echo")
            .arg(address.to_string())
            .arg("--folder")
            .arg(folder);
        let process = Process::start(&mut command, &folder.join("log/echo"));
        wait_until(
            Duration::from_secs(10),
            || async move { tokio::net::TcpStream::connect(address).await.is_ok() },
            || format!("the echo did not start: {}", process.log()),
        )
        .await;
        Self {
            _process: process,
            address,
            authority,
        }
    }
}

/// Serves until the process is killed.
pub(crate) async fn serve(address: SocketAddr, folder: &Path) {
    let tls = RustlsConfig::from_pem_file(folder.join(CERTIFICATE), folder.join(KEY))
        .await
        .unwrap();
    let router = Router::new().route("/inject", post(answer));
    let server = axum_server::bind_rustls(address, tls).http1_only();
    server.serve(router.into_make_service()).await.unwrap();
}

async fn answer(body: Bytes) -> String {
    let review: Value = serde_json::from_slice(&body).unwrap();
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    })
    .to_string()
}
