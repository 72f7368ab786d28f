//! `Idempotency-Key` on one record, and on a batch, which it makes one unit.

use boboyka_tests::Sidecar;
use reqwest::Method;
use serde_json::{Value, json};

fn record(number: u64) -> Value {
    json!({"record_type": "audit_log", "data": {"agent_id": "a", "event": "e", "number": number}})
}

struct Answer {
    status: u16,
    replayed: bool,
    /// One answer per record, or the error.
    body: Vec<Value>,
}

async fn post(sidecar: &Sidecar, path: &str, kind: &str, keys: &[&str], body: String) -> Answer {
    let mut request = sidecar
        .request(Method::POST, &format!("/v1/boboyka/{path}"))
        .header("content-type", kind);
    for key in keys {
        request = request.header("idempotency-key", *key);
    }
    let answer = request.body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    let replayed = answer.headers().contains_key("idempotency-replayed");
    let text = answer.text().await.unwrap();
    let body = match serde_json::from_str(&text) {
        Ok(Value::Array(answers)) => answers,
        Ok(one) => vec![one],
        Err(_) => text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    };
    Answer {
        status,
        replayed,
        body,
    }
}

async fn batch(sidecar: &Sidecar, key: &str, records: &[Value]) -> Answer {
    let body = json!(records).to_string();
    post(sidecar, "ingest/batch", "application/json", &[key], body).await
}

async fn lines(sidecar: &Sidecar, key: &str, records: &[Value]) -> Answer {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let body = lines.join("\n");
    post(
        sidecar,
        "ingest/batch",
        "application/x-ndjson",
        &[key],
        body,
    )
    .await
}

fn hashes(answer: &Answer) -> Vec<&Value> {
    answer
        .body
        .iter()
        .map(|receipt| &receipt["record_hash"])
        .collect()
}

#[tokio::test]
async fn a_batch_that_is_sent_again_gets_its_receipts_again() {
    let mut sidecar = Sidecar::start().await;
    let records: Vec<Value> = (0..300).map(record).collect();
    let first = batch(&sidecar, "k", &records).await;
    assert_eq!((first.status, first.replayed), (200, false));
    for round in 0..2 {
        for again in [
            batch(&sidecar, "k", &records).await,
            lines(&sidecar, "k", &records).await,
        ] {
            assert_eq!((again.status, again.replayed), (200, true), "round {round}");
            assert_eq!(hashes(&again), hashes(&first));
        }
        for other in [
            &records[..1],
            &records[..299],
            &records[1..],
            &[record(7), record(8)],
        ] {
            let refused = batch(&sidecar, "k", other).await;
            assert_eq!(refused.status, 409);
            assert_eq!(refused.body[0]["code"], "idempotency_conflict");
        }
        assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 300);
        sidecar.kill_9();
        sidecar.restart().await;
    }
}

#[tokio::test]
async fn a_batch_of_which_some_were_refused_is_answered_alike() {
    let sidecar = Sidecar::start().await;
    let bad = json!({"record_type": "audit_log", "data": {"agent_id": "a"}});
    let records = [record(0), bad.clone(), record(1), bad.clone()];
    let first = batch(&sidecar, "k", &records).await;
    let again = batch(&sidecar, "k", &records).await;
    assert_eq!(
        (first.status, again.status, again.replayed),
        (207, 207, true)
    );
    assert_eq!(first.body, again.body);
    let mended = [record(0), record(9), record(1), record(10)];
    assert_eq!(batch(&sidecar, "k", &mended).await.status, 409);
    let none = batch(&sidecar, "free", &[bad]).await;
    assert_eq!((none.status, none.replayed), (207, false));
    assert_eq!(batch(&sidecar, "free", &mended).await.status, 200);
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 6);
}

#[tokio::test]
async fn a_key_is_one_whether_it_comes_with_a_record_or_a_batch() {
    let sidecar = Sidecar::start().await;
    let body = record(0).to_string();
    let first = post(
        &sidecar,
        "ingest",
        "application/json",
        &["one"],
        body.clone(),
    )
    .await;
    let sidecar = &sidecar;
    let again = batch(sidecar, "one", &[record(0)]).await;
    assert_eq!((again.status, hashes(&again)), (200, hashes(&first)));
    assert_eq!(
        batch(sidecar, "one", &[record(0), record(1)]).await.status,
        409
    );
    assert_eq!(
        batch(sidecar, "two", &[record(0), record(1)]).await.status,
        200
    );
    let alone = post(sidecar, "ingest", "application/json", &["two"], body).await;
    assert_eq!(alone.status, 409);
}

#[tokio::test]
async fn keys_that_contradict_each_other_are_refused() {
    let sidecar = Sidecar::start().await;
    let mut keyed = record(0);
    keyed["idempotency_key"] = json!("body");
    let body = |path: &str| match path {
        "ingest" => keyed.to_string(),
        _ => json!([record(1), keyed]).to_string(),
    };
    for path in ["ingest", "ingest/batch"] {
        for keys in [vec!["a", "b"], vec!["a", "a"], vec!["header"], vec![""]] {
            let refused = post(&sidecar, path, "application/json", &keys, body(path)).await;
            assert_eq!(
                (refused.status, refused.body.len()),
                (400, 1),
                "{path} {keys:?}"
            );
            assert_eq!(refused.body[0]["code"], "bad_parameter");
        }
    }
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 0);
    for path in ["ingest", "ingest/batch"] {
        let taken = post(&sidecar, path, "application/json", &["body"], body(path)).await;
        assert!(matches!(taken.status, 200 | 409), "{path}");
    }
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 1);
}
