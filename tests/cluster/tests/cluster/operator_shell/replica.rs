//! A replica of the operator as a process of this machine. Dropping it kills it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use boboyka_cluster::{Cluster, wait_for};
use boboyka_tests::process::{GUARD, free_address};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) webhook: SocketAddr,
    pub(crate) observe: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Replica {
    pub(crate) fn start(cluster: &Cluster, namespace: &str, name: &str, more: &[&str]) -> Self {
        let [webhook, observe] = [free_address(), free_address()];
        let folder = cluster.state().join("log");
        let log = folder.join(format!("operator-{namespace}-{name}"));
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut watched = format!("--namespace-watched={namespace}");
        if let Some(other) = more
            .iter()
            .find(|one| one.starts_with("--namespace-watched"))
        {
            (*other).clone_into(&mut watched);
        }
        let more = more.iter().filter(|one| **one != watched);
        let child = Command::new(binary())
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("RUST_LOG", "info")
            .args([
                &format!("--namespace={namespace}"),
                &watched,
                &format!("--pod-name={name}"),
                &format!("--webhook-listen={webhook}"),
                &format!("--observe-listen={observe}"),
                "--webhook-host=127.0.0.1",
                "--sidecar-image=localhost/boboyka-sidecar:test",
            ])
            .args(more)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self {
            name: name.to_owned(),
            webhook,
            observe,
            child,
            log,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// How it ended by itself, and its log.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        while begun.elapsed() < GUARD {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end: {}", self.log());
    }

    /// Tells it to end; how it ended, and its log.
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.ended()
    }

    pub(crate) async fn metrics(&self) -> Result<String> {
        Ok(self.get("/metrics").await?.1)
    }

    /// A gauge's value, as it is written.
    pub(crate) async fn gauge(&self, name: &str) -> String {
        let text = self.metrics().await.unwrap();
        let name = format!("boboyka_operator_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("{name} is not in {text}"))
            .to_owned()
    }

    /// A counter's value.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        self.gauge(name).await.parse().unwrap()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        self.get("/ready").await.is_ok_and(|(code, _)| code == 200)
    }

    pub(crate) async fn leads(&self) -> bool {
        let metrics = self.metrics().await;
        metrics.is_ok_and(|text| text.lines().any(|line| line == "boboyka_operator_leader 1"))
    }

    pub(crate) async fn ready_within(&self, limit: Duration) {
        let ready = wait_for("the replica to be ready", limit, || async {
            Ok(self.is_ready().await)
        });
        if let Err(error) = ready.await {
            panic!("{error}: {:?}\n{}", self.get("/ready").await, self.log());
        }
    }

    /// How long it took until it led.
    pub(crate) async fn leads_within(&self, limit: Duration) -> Duration {
        let begun = Instant::now();
        while !self.leads().await {
            assert!(begun.elapsed() < limit, "it does not lead: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }

    /// A new connection of somebody who trusts the bundle and nothing else.
    pub(crate) async fn trusted_by(&self, bundle: &[u8]) -> Result<()> {
        self.connect(bundle).await.map(drop)
    }

    /// A new connection over which this was sent.
    pub(crate) async fn send(&self, bundle: &[u8], text: &str) -> Result<TlsStream<TcpStream>> {
        let mut stream = self.connect(bundle).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Posts a body; the whole answer.
    pub(crate) async fn post(&self, bundle: &[u8], path: &str, body: &str) -> Result<String> {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}");
        let mut stream = self.send(bundle, &head).await?;
        let mut answer = Vec::new();
        // The operator ends the connection, perhaps without a farewell.
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8(answer)?)
    }

    async fn connect(&self, bundle: &[u8]) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            roots.add(certificate?)?;
        }
        let settings = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.webhook).await?;
        let connector = TlsConnector::from(Arc::new(settings));
        Ok(connector.connect("127.0.0.1".try_into()?, stream).await?)
    }

    async fn get(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.observe).await?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
        let code = head.split(' ').nth(1).context("no code")?.parse()?;
        ensure!(!body.is_empty(), "no body");
        Ok((code, body.to_owned()))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The operator's binary: named by `BOBOYKA_OPERATOR_BIN`, else built beside this test.
fn binary() -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().unwrap();
        let found = test
            .ancestors()
            .map(|folder| folder.join("boboyka-operator"));
        found.into_iter().find(|program| Path::is_file(program))
    };
    std::env::var_os("BOBOYKA_OPERATOR_BIN")
        .map(PathBuf::from)
        .or_else(beside)
        .expect("the operator is not built: run `cargo build -p boboyka-operator`, or `make test`")
}
