//! The operator as a process of this machine, and what it takes: memory, CPU, requests to the API server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use boboyka_tests::process::{Process, free_address, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{NAMESPACE, Stage};

/// How long a start may take, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// The operator, killed when it is dropped.
pub(crate) struct Operator {
    process: Process,
    observe: SocketAddr,
}

/// What it holds, in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) now: f64,
    /// At the most since it started.
    pub(crate) peak: f64,
}

impl Operator {
    /// Starts an operator that leads and answers admission calls.
    pub(crate) async fn start(stage: &Stage) -> Self {
        let observe = free_address();
        let mut command = Command::new(release_binary("boboyka-operator"));
        command
            .env("KUBECONFIG", stage.cluster.kubeconfig())
            .env("RUST_LOG", "info")
            .args([
                &format!("--namespace={NAMESPACE}"),
                "--pod-name=operator-0",
                "--lease-seconds=3",
                &format!("--webhook-listen={}", stage.webhook),
                &format!("--observe-listen={observe}"),
                "--webhook-host=127.0.0.1",
                "--sidecar-image=localhost/boboyka-sidecar:bench",
            ]);
        let log = stage.cluster.state().join("log/operator");
        let process = Process::start(&mut command, &log);
        let operator = Self { process, observe };
        let works = || async {
            operator.leads().await
                && get(observe, "/ready")
                    .await
                    .is_some_and(|text| text == "ready\n")
        };
        let explain = || format!("the operator is not ready:\n{}", operator.process.log());
        wait_until(LIMIT, works, explain).await;
        operator
    }

    async fn leads(&self) -> bool {
        let metrics = get(self.observe, "/metrics").await.unwrap_or_default();
        metrics
            .lines()
            .any(|line| line == "boboyka_operator_leader 1")
    }

    /// What it holds.
    pub(crate) fn memory(&self) -> Memory {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap();
        let mib = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
        };
        Memory {
            now: mib("VmRSS:"),
            peak: mib("VmHWM:"),
        }
    }

    /// The processor's seconds that it took since it started.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.pid())).unwrap();
        // The name in brackets may have spaces in it.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
    }

    /// Its writes to the API server so far, by `VERB RESOURCE`.
    pub(crate) async fn writes(&self) -> BTreeMap<String, f64> {
        let metrics = get(self.observe, "/metrics").await.unwrap();
        let mut writes = BTreeMap::new();
        for line in metrics.lines() {
            let Some(line) = line.strip_prefix("boboyka_operator_api_requests_total{") else {
                continue;
            };
            let (labels, count) = line.rsplit_once("} ").unwrap();
            let label = |name: &str| {
                let (_, value) = labels.split_once(&format!("{name}=\"")).unwrap();
                value.split('"').next().unwrap().to_owned()
            };
            let verb = label("verb");
            if !["get", "list", "watch"].contains(&verb.as_str()) {
                let of = format!("{verb} {}", label("resource"));
                *writes.entry(of).or_default() += count.parse::<f64>().unwrap();
            }
        }
        writes
    }
}

/// A program as it is released.
pub(crate) fn release_binary(name: &str) -> PathBuf {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/static/x86_64-unknown-linux-gnu/release"
    );
    let place = Path::new(folder).join(name);
    assert!(
        place.is_file(),
        "{} is not built: run `make bench-operator`",
        place.display()
    );
    place
}

/// What is answered with 200.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    (head.split(' ').nth(1) == Some("200")).then(|| body.to_owned())
}
