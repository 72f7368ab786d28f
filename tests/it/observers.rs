//! What observers read is what the documents say, and it is text that a strict reader takes.

use std::collections::{BTreeMap, BTreeSet};

use boboyka_tests::Sidecar;
use serde_json::json;

/// A scrape: families by name with their kind, and samples by name and labels.
struct Scrape {
    families: BTreeMap<String, String>,
    samples: BTreeMap<String, String>,
}

impl Scrape {
    async fn of(sidecar: &Sidecar) -> Self {
        let request = boboyka_tests::client().get(sidecar.observe_url("/metrics"));
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            kind.starts_with("application/openmetrics-text; version=1.0.0"),
            "{kind}"
        );
        Self::parse(&answer.text().await.unwrap())
    }

    /// Takes only what OpenMetrics 1.0 allows: every sample under its family, each once, the end told.
    fn parse(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").unwrap();
        let (mut families, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let mut family = String::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let rest = words.next().unwrap();
                match what {
                    "TYPE" => {
                        let earlier = families.insert(name.to_owned(), rest.to_owned());
                        assert_eq!(earlier, None, "{name} comes twice");
                    }
                    "HELP" => name.clone_into(&mut family),
                    "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffixes: &[&str] = match families[&family].as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                "gauge" => &[""],
                other => panic!("{family} is a {other}"),
            };
            let own = suffixes
                .iter()
                .any(|suffix| name == format!("{family}{suffix}"));
            assert!(own, "{line} is not of {family}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let earlier = samples.insert(series.to_owned(), value.to_owned());
            assert_eq!(earlier, None, "{series} comes twice");
        }
        Self { families, samples }
    }

    /// The names as a user writes them in a query.
    fn names(&self) -> BTreeSet<String> {
        let name = |(name, kind): (&String, &String)| match kind.as_str() {
            "counter" => format!("{name}_total"),
            _ => name.clone(),
        };
        self.families.iter().map(name).collect()
    }
}

#[tokio::test]
async fn the_document_lists_every_metric_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("file://{}", folder.path().display());
    let sidecar = Sidecar::start_with(&["--archive-url", &archive], &[]).await;
    let scrape = Scrape::of(&sidecar).await;
    let document = include_str!("../../docs/api.md");
    let (_, table) = document.split_once("| metric | labels | |").unwrap();
    let listed: BTreeSet<_> = table
        .split('`')
        .filter(|word| word.starts_with("boboyka_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(scrape.names(), listed);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_kind_of_answer() {
    let sidecar = Sidecar::start().await;
    let record = json!({"agent_id": "a", "event": "e"});
    sidecar.ingest("audit_log", &record).await;
    sidecar.ingest("audit_log", &record).await;
    assert_eq!(sidecar.try_ingest("audit_log", &json!({})).await.0, 422);
    assert_eq!(sidecar.try_get("/no/such/path").await.0, 404);
    let scrape = Scrape::of(&sidecar).await;
    let count = |route: &str, status: &str| {
        let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
        scrape.samples[&format!("boboyka_http_requests_total{labels}")].clone()
    };
    assert_eq!(count("/v1/boboyka/ingest", "2xx"), "2");
    assert_eq!(count("/v1/boboyka/ingest", "4xx"), "1");
    assert_eq!(count("other", "4xx"), "1");
    let timed = "boboyka_http_request_duration_seconds_count{route=\"/v1/boboyka/ingest\"}";
    assert_eq!(scrape.samples[timed], "3");
    let records = "boboyka_records_total{record_type=\"audit_log\"}";
    assert_eq!(scrape.samples[records], "2");
}

/// A client that sends the head of a request byte by byte. Returns how many bytes it sent until the server had enough.
async fn trickle(address: std::net::SocketAddr) -> usize {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let begin = b"GET /live HTTP/1.1\r\nhost: a\r\nx-slow: ";
    if stream.write_all(begin).await.is_err() {
        return 0;
    }
    let mut answer = [0; 256];
    for sent in 0..BYTES {
        tokio::select! {
            _ = stream.read(&mut answer) => return sent,
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
        }
        if stream.write_all(b"x").await.is_err() {
            return sent;
        }
    }
    BYTES
}

/// Takes ten seconds to send.
const BYTES: usize = 100;

/// Asks as a kubelet does: on a new connection, and three times before it gives up. On a machine that is busy with something else,
/// a connection may come too late for the time that each has.
async fn probe(url: &str) -> reqwest::Response {
    let mut failed = Vec::new();
    while failed.len() < 3 {
        match boboyka_tests::client().get(url).send().await {
            Ok(answer) => return answer,
            Err(error) => failed.push(error),
        }
    }
    panic!("{failed:?}")
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_keep_no_probe_from_its_answer() {
    let sidecar = Sidecar::start().await;
    let url = sidecar.observe_url("/live");
    let address = url.trim_start_matches("http://").trim_end_matches("/live");
    let address: std::net::SocketAddr = address.parse().unwrap();
    let slow: Vec<_> = (0..400).map(|_| tokio::spawn(trickle(address))).collect();
    for _ in 0..30 {
        let answer = probe(&url).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["connection"], "close");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for client in slow {
        let sent = client.await.unwrap();
        assert!(sent < BYTES, "a slow client was served to the end");
    }
}
