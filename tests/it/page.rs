//! The public page's calls, with its names in its order.

use std::collections::HashSet;

use boboyka_tests::Sidecar;
use serde_json::{Value, json};

fn build() -> Value {
    json!({"project_id": "proj_abc", "build_id": "bld_001", "status": "running",
           "agent_id": "boboyka_builder"})
}

/// The names of an object in the order in which they were sent.
fn names(json: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    for (at, part) in json.split('"').enumerate() {
        if at % 2 == 0 {
            depth += part.matches(['{', '[']).count();
            depth -= part.matches(['}', ']']).count();
        } else if depth == 1 && json.split('"').nth(at + 1).unwrap().starts_with(':') {
            names.push(part.to_owned());
        }
    }
    names
}

#[tokio::test]
async fn an_ingest_without_supabase_answers_as_on_the_page() {
    let sidecar = Sidecar::start().await;
    let body = json!({"record_type": "project_build", "data": build()}).to_string();
    let answer = sidecar
        .request(reqwest::Method::POST, "/v1/boboyka/ingest")
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    let page = ["record_hash", "record_type", "ingested_at_ms", "dual_write"];
    assert_eq!(names(&text)[..4], page);
    assert!(
        text.contains(r#""dual_write":{"enabled":false,"ok":null,"error":null}"#),
        "{text}"
    );
    let receipt: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(receipt["record_hash"].as_str().unwrap().len(), 64);
    assert_eq!(receipt["record_type"], "project_build");
    assert!(receipt["ingested_at_ms"].as_u64().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn the_status_counts_every_record_by_type() {
    let sidecar = Sidecar::start().await;
    for _ in 0..3 {
        sidecar.ingest("project_build", &build()).await;
    }
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
        .await;
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(status["dual_write_enabled"], false);
    assert_eq!(status["supabase_url"], Value::Null);
    let counts =
        json!({"project_build": 3, "build_queue_item": 0, "agent_health": 0, "audit_log": 1});
    assert_eq!(status["event_counts"], counts);
    assert_eq!(status["total_events"], 4);
    assert!(
        status["integration_phase"]
            .as_str()
            .unwrap()
            .starts_with("Phase 1 — ")
    );
}

#[tokio::test]
async fn the_feed_pages_newest_first_without_gap_or_repeat_while_records_arrive() {
    let sidecar = Sidecar::start().await;
    for n in 0..25 {
        sidecar
            .ingest(
                "audit_log",
                &json!({"agent_id": "a", "event": format!("e{n}")}),
            )
            .await;
    }
    let mut seen = HashSet::new();
    let mut path = "/v1/boboyka/events?limit=10&record_type=audit_log&include=data".to_owned();
    let mut pages = 0;
    loop {
        let page = sidecar.get(&path).await;
        let events = page["events"].as_array().unwrap();
        let seqs: Vec<u64> = events
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert!(seqs.windows(2).all(|pair| pair[0] > pair[1]), "{seqs:?}");
        assert!(seqs.iter().all(|seq| seen.insert(*seq)), "{seqs:?} repeats");
        assert_eq!(events[0]["data"]["event"], format!("e{}", seqs[0] - 1));
        assert_eq!(events[0]["dual_write_ok"], Value::Null);
        pages += 1;
        // What arrives now must not shift the pages that follow.
        sidecar
            .ingest(
                "agent_health",
                &json!({"agent_id": "a", "status": "healthy"}),
            )
            .await;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        let (filters, _) = path.split_once("&cursor=").unwrap_or((&path, ""));
        path = format!("{filters}&cursor={cursor}");
    }
    assert_eq!((seen.len(), pages), (25, 3));
}

#[tokio::test]
async fn a_record_is_found_by_its_hash_and_its_header_hashes_to_it() {
    let sidecar = Sidecar::start().await;
    let receipt = sidecar.ingest("project_build", &build()).await;
    let hash = receipt["record_hash"].as_str().unwrap();
    let record = sidecar.get(&format!("/v1/boboyka/records/{hash}")).await;
    assert_eq!(record["data"], build());
    let header = record["header"].as_str().unwrap();
    let bytes: Vec<u8> = (0..header.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&header[at..at + 2], 16).unwrap())
        .collect();
    let mut hasher = blake3::Hasher::new_derive_key(boboyka_strand::hash::HEADER_CONTEXT);
    assert_eq!(hasher.update(&bytes).finalize().to_hex().as_str(), hash);
    let (status, _) = sidecar
        .try_get(&format!("/v1/boboyka/records/{}", "0".repeat(64)))
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_batch_answers_every_line_in_order_as_an_array_and_as_lines() {
    let sidecar = Sidecar::start().await;
    let good = json!({"record_type": "project_build", "data": build()});
    let bad = json!({"record_type": "project_build", "data": {"project_id": "p"}});
    let (status, body) = sidecar
        .post(
            "/v1/boboyka/ingest/batch",
            &json!([good, bad, good]).to_string(),
        )
        .await;
    assert_eq!(status, 207);
    assert_eq!((&body[0]["seq"], &body[2]["seq"]), (&json!(1), &json!(2)));
    assert_eq!(body[1]["field"], "build_id");
    let lines = format!("{good}\nnot json\n\n{good}\n");
    let answer = sidecar
        .request(reqwest::Method::POST, "/v1/boboyka/ingest/batch")
        .header("content-type", "application/x-ndjson")
        .body(lines);
    let text = answer.send().await.unwrap().text().await.unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[2]["seq"]), (3, &json!(4)));
    assert_eq!(lines[1]["code"], "malformed_json");
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_receipt_also_after_a_restart() {
    let mut sidecar = Sidecar::start().await;
    let body = json!({"record_type": "project_build", "data": build(), "idempotency_key": "k1"});
    let (_, first) = sidecar.post("/v1/boboyka/ingest", &body.to_string()).await;
    sidecar.kill_9();
    sidecar.restart().await;
    let request = sidecar
        .request(reqwest::Method::POST, "/v1/boboyka/ingest")
        .header("content-type", "application/json")
        .header("idempotency-key", "k1")
        .body(json!({"record_type": "project_build", "data": build()}).to_string());
    let (status, again) = boboyka_tests::sidecar::answer(request).await;
    assert_eq!((status, &again), (200, &first));
    let other = json!({"record_type": "audit_log", "data": {"agent_id": "a", "event": "e"},
                       "idempotency_key": "k1"});
    let (status, refusal) = sidecar.post("/v1/boboyka/ingest", &other.to_string()).await;
    assert_eq!(
        (status, refusal["code"].as_str()),
        (409, Some("idempotency_conflict"))
    );
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 1);
}

#[tokio::test]
async fn observers_find_live_ready_metrics_and_nothing_else() {
    let sidecar = Sidecar::start().await;
    sidecar.ingest("project_build", &build()).await;
    let client = boboyka_tests::client();
    let text = sidecar.metrics().await;
    assert!(
        text.contains("boboyka_records_total{record_type=\"project_build\"} 1"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
    for (path, expected) in [("/live", 200), ("/ready", 200), ("/v1/boboyka/status", 404)] {
        let answer = client.get(sidecar.observe_url(path)).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{path}");
    }
}
