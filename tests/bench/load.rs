//! The load: a number of connections, each sending its next request when the last was answered.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boboyka_tests::Sidecar;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Different requests; enough that compression finds no more than it would in life.
const POOL: u64 = 512;

/// How long one measurement takes.
pub(crate) const MEASURE: Duration = Duration::from_secs(2);

/// Where a sidecar listens.
pub(crate) fn address(sidecar: &Sidecar) -> SocketAddr {
    let url = sidecar.url("");
    url.trim_start_matches("http://").parse().unwrap()
}

/// What one run of a load has measured.
pub(crate) struct Sample {
    /// Records answered a second.
    pub(crate) rate: f64,
    /// Records answered in all, those of the warm-up too.
    pub(crate) records: u64,
    pub(crate) latencies: Latencies,
}

/// How long each request took, in µs.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn push(&mut self, took: Duration) {
        self.0
            .push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// The latency that this part of the requests did not exceed.
    pub(crate) fn quantile_us(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() as f64 * part) as usize;
        f64::from(sorted[at.min(sorted.len() - 1)])
    }
}

/// Requests prepared, and how they are sent.
#[derive(Clone)]
pub(crate) struct Load {
    connections: usize,
    /// How long a connection takes for a request at least.
    pace: Option<Duration>,
    records: usize,
    requests: Arc<Vec<Vec<u8>>>,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.records == 1 {
            write!(f, "{} connections", self.connections)
        } else {
            write!(
                f,
                "batches of {} at {} connections",
                self.records, self.connections
            )
        }
    }
}

impl Load {
    /// One record a request.
    pub(crate) fn single(connections: usize) -> Self {
        let requests = (0..POOL).map(|n| request("/v1/boboyka/ingest", "json", &record(n)));
        Self {
            connections,
            pace: None,
            records: 1,
            requests: Arc::new(requests.collect()),
        }
    }

    /// Many records a request, one a line.
    pub(crate) fn batch(connections: usize, records: usize) -> Self {
        let body = |batch: u64| {
            let first = batch * records as u64;
            let lines = (first..first + records as u64).map(|n| format!("{}\n", record(n)));
            lines.collect::<String>()
        };
        let path = "/v1/boboyka/ingest/batch";
        let requests = (0..32).map(|batch| request(path, "x-ndjson", &body(batch)));
        Self {
            connections,
            pace: None,
            records,
            requests: Arc::new(requests.collect()),
        }
    }

    /// As many requests a second, over all connections, and no more.
    pub(crate) fn paced(mut self, per_second: u32) -> Self {
        let connections = u32::try_from(self.connections).unwrap();
        self.pace = Some(Duration::from_secs(1) * connections / per_second);
        self
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// The body of one request.
    pub(crate) fn a_body(&self) -> Vec<u8> {
        let request = &self.requests[0];
        let end = find(request, b"\r\n\r\n").unwrap();
        request[end + 4..].to_vec()
    }

    /// Sends requests for a while, each connection its next one when the last was answered.
    pub(crate) async fn run(&self, address: SocketAddr, time: Duration) -> Sample {
        let done = Arc::new(AtomicU64::new(0));
        let stop = tokio_util::sync::CancellationToken::new();
        let tasks: Vec<_> = (0..self.connections)
            .map(|n| {
                let (requests, done) = (Arc::clone(&self.requests), Arc::clone(&done));
                let (stop, mut pace) = (stop.clone(), self.pace.map(tokio::time::interval));
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let mut buffer = Vec::with_capacity(512 * 1024);
                    let mut latencies = Latencies::default();
                    for request in requests.iter().cycle().skip(n * 7) {
                        if let Some(pace) = &mut pace {
                            pace.tick().await;
                        }
                        let sent = Instant::now();
                        stream.write_all(request).await.unwrap();
                        answer(&mut stream, &mut buffer).await;
                        latencies.push(sent.elapsed());
                        done.fetch_add(1, Ordering::Relaxed);
                        if stop.is_cancelled() {
                            break;
                        }
                    }
                    latencies
                })
            })
            .collect();
        // The first requests warm up: connections, caches, the processor's clock.
        tokio::time::sleep(time / 8).await;
        let (begun, before) = (Instant::now(), done.load(Ordering::Relaxed));
        tokio::time::sleep(time).await;
        let answered = done.load(Ordering::Relaxed) - before;
        let rate = (answered * self.records as u64) as f64 / begun.elapsed().as_secs_f64();
        stop.cancel();
        let mut latencies = Latencies::default();
        for task in tasks {
            latencies.0.extend(task.await.unwrap().0);
        }
        let records = done.load(Ordering::Relaxed) * self.records as u64;
        Sample {
            rate,
            records,
            latencies,
        }
    }

    /// Header and payload of the average record.
    pub(crate) fn raw_bytes_per_record() -> f64 {
        let sample = 2_000;
        let payloads: usize = (0..sample)
            .map(|n| {
                let request: Value = serde_json::from_str(&record(n)).unwrap();
                let record_type = request["record_type"].as_str().unwrap().parse().unwrap();
                let data = request["data"].to_string();
                boboyka_strand::Record::from_json(record_type, &data)
                    .unwrap()
                    .payload()
                    .len()
            })
            .sum();
        payloads as f64 / sample as f64 + boboyka_strand::block::HEADER_LEN as f64
    }
}

/// A number of records, as the JSON array that a batch takes.
pub(crate) fn array(first: u64, records: u64) -> String {
    let records: Vec<_> = (first..first + records).map(record).collect();
    format!("[{}]", records.join(","))
}

/// A record as agents send them; the numbers differ as they would.
fn record(n: u64) -> String {
    // A cheap hash, so that values do not follow each other.
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let ms = 1_747_000_000_000 + n * 137 + noise % 97;
    let data = match n % 4 {
        0 => json!({"project_id": format!("proj_{:08x}", noise % 5_000),
            "build_id": format!("bld_{noise:016x}"), "status": "succeeded",
            "agent_id": format!("boboyka_builder_{}", noise % 40), "started_at_ms": ms,
            "completed_at_ms": ms + noise % 90_000,
            "output_url": format!("https://cdn.example.com/builds/bld_{noise:016x}.tar.gz")}),
        1 => json!({"queue_id": format!("q_{noise:012x}"), "status": "waiting",
            "project_id": format!("proj_{:08x}", noise % 5_000), "priority": noise % 10,
            "enqueued_at_ms": ms, "dequeued_at_ms": null, "note": "queued by the scheduler"}),
        2 => json!({"agent_id": format!("boboyka_worker_{}", noise % 40), "status": "healthy",
            "cpu_pct": (noise % 10_000) as f64 / 100.0, "memory_mb": noise % 4_096,
            "checked_at_ms": ms, "host": format!("node-{}.pool-a.internal", noise % 64)}),
        _ => json!({"agent_id": format!("boboyka_builder_{}", noise % 40),
            "event": "deploy_completed", "actor": "ci_pipeline", "timestamp_ms": ms,
            "metadata": {"env": "production", "version": format!("2.{}.{}", noise % 9, noise % 31),
                "commit": format!("{noise:016x}{:016x}", noise.rotate_left(17))}}),
    };
    let kinds = [
        "project_build",
        "build_queue_item",
        "agent_health",
        "audit_log",
    ];
    let kind = kinds[usize::try_from(n % 4).unwrap()];
    json!({"record_type": kind, "data": data}).to_string()
}

fn request(path: &str, kind: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/{kind}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one answer whole; it must be a success.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let head = std::str::from_utf8(&buffer[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            if buffer.len() >= end + 4 + length {
                return;
            }
        }
        assert!(
            stream.read_buf(buffer).await.unwrap() > 0,
            "the connection ended"
        );
    }
}

fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    // Heads are short; the body need not be searched.
    buffer[..buffer.len().min(1024)]
        .windows(what.len())
        .position(|window| window == what)
}
