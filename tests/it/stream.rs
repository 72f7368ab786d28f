//! The stream of records, across the ends of a sidecar.

use std::time::Duration;

use boboyka_tests::Sidecar;
use boboyka_tests::process::GUARD;
use reqwest::Method;
use serde_json::{Value, json};

/// Follows the stream until `enough`, or until it is cut; what it was told, as lines.
async fn follow(sidecar: &Sidecar, last: u64, mut enough: impl FnMut(&str) -> bool) -> String {
    let request = sidecar
        .request(Method::GET, "/v1/boboyka/stream?include=data")
        .header("last-event-id", last);
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !enough(&text) {
        match answer.chunk().await {
            Ok(Some(part)) => text += std::str::from_utf8(&part).unwrap(),
            Ok(None) | Err(_) => break,
        }
    }
    text
}

/// The whole events of a text: their seqs, whose data must be the same.
fn seqs(text: &str) -> Vec<u64> {
    let whole = text
        .split_inclusive("\n\n")
        .filter(|event| event.ends_with("\n\n"));
    whole
        .filter(|event| event.contains("event: record\n"))
        .map(|event| {
            let line = |name: &str| {
                event
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap()
            };
            let data: Value = serde_json::from_str(line("data: ")).unwrap();
            assert_eq!(line("id: "), data["seq"].to_string());
            data["seq"].as_u64().unwrap()
        })
        .collect()
}

async fn ingest(sidecar: &Sidecar, times: usize) {
    for _ in 0..times {
        let data = json!({"agent_id": "a", "event": "e"});
        sidecar.ingest("audit_log", &data).await;
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_after_each_kill_gets_every_record_once_and_in_order() {
    let mut sidecar = Sidecar::start().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        ingest(&sidecar, 20).await;
        let last = seen.last().copied().unwrap_or(0);
        let text = follow(&sidecar, last, |text| seqs(text).len() >= 10).await;
        seen.extend(seqs(&text));
        ingest(&sidecar, 20).await;
        sidecar.kill_9();
        sidecar.restart().await;
    }
    let last = *seen.last().unwrap();
    let text = follow(&sidecar, last, |text| seqs(text).last() == Some(&120)).await;
    seen.extend(seqs(&text));
    let head = sidecar.get("/v1/boboyka/status").await["strand"]["head"]["seq"].clone();
    assert_eq!(json!(seen.len()), head);
    assert_eq!(seen, (1..=120).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_open_stream_does_not_keep_a_sidecar_from_its_end() {
    let mut sidecar = Sidecar::start().await;
    ingest(&sidecar, 1).await;
    let request = sidecar.request(Method::GET, "/v1/boboyka/stream?after=0");
    let mut answer = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("event: record") {
        text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert!(sidecar.terminate());
    // The rest is here already: the sidecar has ended.
    let rest = tokio::time::timeout(GUARD, answer.text()).await;
    let rest = rest.unwrap().unwrap();
    assert!(
        rest.contains("event: end\n") && rest.contains("shutting_down"),
        "{rest}"
    );
    assert!(
        !sidecar.log().contains("before it answered all requests"),
        "{}",
        sidecar.log()
    );
}

#[tokio::test]
async fn the_last_hour_tells_what_was_appended_and_how_long_it_took() {
    let sidecar = Sidecar::start().await;
    let empty = sidecar.get("/v1/boboyka/last-hour").await;
    assert_eq!(
        (&empty["intervals"], &empty["interval_ms"]),
        (&json!([]), &json!(10_000))
    );
    ingest(&sidecar, 30).await;
    let line = json!({"record_type": "audit_log", "data": {"agent_id": "a", "event": "e"}});
    let batch = Value::from(vec![line; 70]).to_string();
    let (status, _) = sidecar.post("/v1/boboyka/ingest/batch", &batch).await;
    assert_eq!(status, 200);
    let hour = sidecar.get("/v1/boboyka/last-hour").await;
    let intervals = hour["intervals"].as_array().unwrap();
    let sum = |name: &str| {
        intervals
            .iter()
            .filter_map(|interval| interval[name].as_u64())
            .sum::<u64>()
    };
    assert_eq!(sum("records"), 100);
    let slowest = intervals
        .iter()
        .filter_map(|interval| interval["commit_p99_ms"].as_f64());
    let slowest = slowest.fold(0.0, f64::max);
    assert!(slowest > 0.0 && Duration::from_secs_f64(slowest / 1_000.0) < GUARD);
}
