//! Every bad input gets a 4xx that names what is wrong, and writes nothing.

use boboyka_tests::Sidecar;
use boboyka_tests::sidecar::answer;
use reqwest::Method;
use serde_json::json;

/// What is sent, and the status, the code and the field of the answer.
type Refused = (String, u16, &'static str, Option<&'static str>);

fn bad_records() -> Vec<Refused> {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let long = "x".repeat(1024 * 1024);
    let health = |field: &str| {
        format!(
            r#"{{"record_type":"agent_health","data":{{"agent_id":"a","status":"healthy",{field}}}}}"#
        )
    };
    vec![
        (r#"{"record_type":"#.to_owned(), 400, "malformed_json", None),
        (
            r#"{"record_type":"nope","data":{}}"#.to_owned(),
            422,
            "unknown_record_type",
            Some("record_type"),
        ),
        (
            r#"{"record_type":"audit_log","data":[]}"#.to_owned(),
            422,
            "not_an_object",
            Some("data"),
        ),
        (
            r#"{"record_type":"audit_log","data":{"event":"e"}}"#.to_owned(),
            422,
            "missing_field",
            Some("agent_id"),
        ),
        (
            health(r#""status2":1,"cpu_pct":"x""#),
            422,
            "invalid_field",
            Some("cpu_pct"),
        ),
        (
            health(r#""note":"a\u0000b""#),
            422,
            "nul_in_text",
            Some("note"),
        ),
        (
            r#"{"record_type":"audit_log","data":{"agent_id":"boboyka_sidecar","event":"pruned"}}"#
                .to_owned(),
            422,
            "reserved_field",
            Some("agent_id"),
        ),
        (health(r#""x":1e400"#), 422, "number_not_kept", Some("x")),
        (health(&format!(r#""x":{deep}"#)), 422, "too_deep", None),
        (health(&format!(r#""x":"{long}""#)), 413, "too_large", None),
        (
            r#"{"record_type":"audit_log","dta":{}}"#.to_owned(),
            400,
            "malformed_json",
            None,
        ),
    ]
}

#[tokio::test]
async fn bad_records_are_refused_by_field_and_nothing_is_written() {
    let sidecar = Sidecar::start().await;
    for (body, status, code, field) in bad_records() {
        let shown = &body[..body.len().min(90)];
        let (found, error) = sidecar.post("/v1/boboyka/ingest", &body).await;
        assert_eq!(
            (found, error["code"].as_str()),
            (status, Some(code)),
            "{shown}: {error}"
        );
        assert!(
            error["message"].is_string() && error["error"].is_string(),
            "{error}"
        );
        if let Some(field) = field {
            assert_eq!(error["field"], field, "{shown}");
        }
    }
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 0);
}

#[tokio::test]
async fn bad_requests_are_refused_by_parameter() {
    let sidecar = Sidecar::start().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("record_type=x", "record_type"),
        ("since_ms=-1", "since_ms"),
        ("include=all", "include"),
        ("page=2", "page"),
    ] {
        let (status, error) = sidecar
            .try_get(&format!("/v1/boboyka/events?{query}"))
            .await;
        assert_eq!(
            (status, error["field"].as_str()),
            (400, Some(field)),
            "{query}: {error}"
        );
    }
    let plain = sidecar
        .request(Method::POST, "/v1/boboyka/ingest")
        .body("{}");
    assert_eq!(answer(plain).await.0, 415);
    assert_eq!(sidecar.try_get("/v1/boboyka/ingest").await.0, 405);
    assert_eq!(sidecar.try_get("/nope").await.1["code"], "not_found");
}

#[tokio::test]
async fn a_page_from_elsewhere_in_a_browser_is_refused() {
    let sidecar = Sidecar::start().await;
    for (name, value, code) in [
        ("host", "rebound.example:7475", Some("forbidden_host")),
        ("origin", "https://evil.example", Some("forbidden_origin")),
        ("origin", "null", Some("forbidden_origin")),
        ("origin", "http://localhost:3000", None),
    ] {
        let request = sidecar
            .request(Method::GET, "/v1/boboyka/status")
            .header(name, value);
        let (status, body) = answer(request).await;
        assert_eq!(body["code"].as_str(), code, "{value}");
        assert_eq!(status, if code.is_some() { 403 } else { 200 }, "{value}");
    }
}

#[tokio::test]
async fn a_full_disk_answers_507_and_the_sidecar_stays() {
    let sidecar = Sidecar::start_with(&["--min-free-bytes", "9000000000000000"], &[]).await;
    let (status, error) = sidecar
        .try_ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
        .await;
    assert_eq!((status, error["code"].as_str()), (507, Some("disk_full")));
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 0);
}

#[tokio::test]
async fn a_body_that_is_cut_short_writes_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sidecar = Sidecar::start().await;
    let record = r#"{"record_type":"audit_log","data":{"agent_id":"a","event":"e"}}"#;
    for (path, kind, body) in [
        ("ingest", "json", record.to_owned()),
        ("ingest/batch", "x-ndjson", format!("{record}\n{record}\n")),
        ("ingest/batch", "json", format!("[{record},{record}]")),
    ] {
        let address = sidecar.url("").replace("http://", "");
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /v1/boboyka/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/{kind}\r\n\
             content-length: {}\r\n\r\n",
            body.len() + 1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 0);
}

#[tokio::test]
async fn an_array_of_records_that_does_not_end_writes_nothing() {
    let sidecar = Sidecar::start().await;
    let record = r#"{"record_type":"audit_log","data":{"agent_id":"a","event":"e"}}"#;
    for body in [
        format!("[{record},{record}"),
        format!("[{record}] x"),
        record.to_owned(),
    ] {
        let (status, error) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
        assert_eq!(
            (status, error["code"].as_str()),
            (400, Some("malformed_json")),
            "{error}"
        );
    }
    assert_eq!(sidecar.get("/v1/boboyka/status").await["total_events"], 0);
}
