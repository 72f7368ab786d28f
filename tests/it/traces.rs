//! Traces of ingests, at a collector that decodes them with OpenTelemetry's own types.

use boboyka_tests::process::{GUARD, free_address, wait_until};
use boboyka_tests::{Collector, Rest, Sidecar, Supabase, Traced};
use reqwest::Method;
use serde_json::{Value, json};

use crate::mirror::health;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
/// Records of the test whose collector fails.
const INGESTS: u64 = 300;
const STATE: &str = "vendor=opaque";

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

async fn traced(collector: &Collector) -> Sidecar {
    Sidecar::start_with(&["--otlp-endpoint", &collector.endpoint()], &[]).await
}

/// Posts a record with more headers; its receipt.
async fn ingest(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Value {
    let record = json!({"record_type": "agent_health", "data": health(0)});
    post(sidecar, "/v1/boboyka/ingest", &record, headers).await
}

async fn post(sidecar: &Sidecar, path: &str, body: &Value, headers: &[(&str, &str)]) -> Value {
    let mut request = sidecar.request(Method::POST, path).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, answer) = boboyka_tests::sidecar::answer(request).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn sampled() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

/// How many spans were dropped.
async fn dropped(sidecar: &Sidecar) -> u64 {
    let text = sidecar.metrics().await;
    let name = "boboyka_trace_dropped_spans_total";
    let mut counts = text.lines().filter_map(|line| line.strip_prefix(name));
    counts.next().unwrap().trim().parse().unwrap()
}

/// The commit that an append points at.
fn commit_of<'a>(append: &Traced, commits: &'a [Traced]) -> &'a Traced {
    let [link] = &append.span.links[..] else {
        panic!("{append:#?}");
    };
    let found = commits.iter().find(|one| one.span.span_id == link.span_id);
    let found = found.unwrap_or_else(|| panic!("{append:#?} points at none of {commits:#?}"));
    assert_eq!(found.span.trace_id, link.trace_id);
    found
}

#[tokio::test]
async fn an_ingest_is_a_span_of_the_callers_trace_with_its_steps_below_and_its_commit_beside() {
    let collector = Collector::start().await;
    let sidecar = traced(&collector).await;
    let headers = [("traceparent", &*sampled()), ("tracestate", STATE)];
    let receipt = ingest(&sidecar, &headers).await;
    let spans = collector.wait_for("POST /v1/boboyka/ingest", 1).await;
    let request = &spans[0];
    assert_eq!(hex(&request.span.trace_id), TRACE);
    assert_eq!(hex(&request.span.parent_span_id), SPAN);
    assert_eq!(request.span.trace_state, STATE);
    // SPAN_KIND_SERVER.
    assert_eq!(request.span.kind, 2);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/boboyka/ingest"),
        ("url.path", "/v1/boboyka/ingest"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(request.attribute(name).as_deref(), Some(value));
    }
    let own = hex(&request.span.span_id);
    assert_eq!(receipt["traceparent"], format!("00-{TRACE}-{own}-01"));
    let strand = &sidecar.get("/v1/boboyka/status").await["strand"]["id"];
    let instance = request.resource("service.instance.id");
    assert_eq!(instance.as_deref(), strand.as_str());
    let name = request.resource("service.name");
    assert_eq!(name.as_deref(), Some("boboyka-sidecar"));

    let (append, mirror) = (
        collector.wait_for("append", 1).await,
        collector.wait_for("mirror", 1).await,
    );
    for step in [&append[0], &mirror[0]] {
        assert_eq!(step.span.trace_id, request.span.trace_id);
        assert_eq!(step.span.parent_span_id, request.span.span_id);
        let within = |at| {
            (request.span.start_time_unix_nano..=request.span.end_time_unix_nano).contains(&at)
        };
        assert!(within(step.span.start_time_unix_nano) && within(step.span.end_time_unix_nano));
    }
    assert_eq!(append[0].attribute("boboyka.seq").as_deref(), Some("1"));
    let outcome = mirror[0].attribute("boboyka.mirror.outcome");
    assert_eq!(outcome.as_deref(), Some("disabled"));
    let commits = collector.wait_for("commit", 1).await;
    let commit = commit_of(&append[0], &commits);
    assert_ne!(commit.span.trace_id, request.span.trace_id);
    assert!(commit.span.parent_span_id.is_empty());
}

#[tokio::test]
async fn requests_that_share_a_commit_point_at_one_span_of_it() {
    let collector = Collector::start().await;
    let sidecar = traced(&collector).await;
    let header = sampled();
    let headers = [("traceparent", &*header)];
    let all = (0..64).map(|_| ingest(&sidecar, &headers));
    futures_util::future::join_all(all).await;
    let batch: Vec<_> = (0..5)
        .map(|n| json!({"record_type": "agent_health", "data": health(n)}))
        .collect();
    let path = "/v1/boboyka/ingest/batch";
    let receipts = post(&sidecar, path, &json!(batch), &headers).await;
    assert!(receipts[0]["traceparent"].is_string());
    assert_eq!(receipts[0]["traceparent"], receipts[4]["traceparent"]);
    let documents = "/v1/agents/notes/records/json";
    post(&sidecar, documents, &json!({"data": {"a": 1}}), &headers).await;
    let of_documents = "POST /v1/agents/{name}/records/json";
    collector.wait_for(of_documents, 1).await;

    let appends = collector.wait_for("append", 66).await;
    let commits = collector.spans();
    let commits: Vec<_> = commits
        .into_iter()
        .filter(|one| one.span.name == "commit")
        .collect();
    let number = |one: &Traced, name| -> u64 { one.attribute(name).unwrap().parse().unwrap() };
    for append in &appends {
        let commit = commit_of(append, &commits);
        let seqs = number(commit, "boboyka.first_seq")..=number(commit, "boboyka.last_seq");
        assert!(seqs.contains(&number(append, "boboyka.seq")), "{append:#?}");
    }
    let mut ends: Vec<_> = commits
        .iter()
        .map(|one| number(one, "boboyka.last_seq"))
        .collect();
    let seen = ends.len();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), seen, "a commit has two spans");
    let records = appends.iter().map(|one| number(one, "boboyka.records"));
    assert_eq!(records.sum::<u64>(), 64 + 5 + 1);
}

#[tokio::test]
async fn the_wait_for_supabase_is_a_step_and_no_span_tells_of_payload_key_or_token() {
    let collector = Collector::start().await;
    let supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "open-sesame").unwrap();
    let (endpoint, credentials) = (collector.endpoint(), supabase.folder());
    let flags = [
        "--otlp-endpoint",
        &endpoint,
        "--api-key-file",
        file.to_str().unwrap(),
        "--supabase-dir",
        credentials.to_str().unwrap(),
    ];
    let sidecar = Sidecar::start_with(&flags, &[]).await;
    let headers = [
        ("traceparent", &*sampled()),
        ("authorization", "Bearer open-sesame"),
        ("idempotency-key", "never-seen-key"),
    ];
    let data = json!({"agent_id": "never-seen-agent", "status": "healthy"});
    let record = json!({"record_type": "agent_health", "data": data});
    post(&sidecar, "/v1/boboyka/ingest", &record, &headers).await;
    let mirror = collector.wait_for("mirror", 1).await;
    let outcome = mirror[0].attribute("boboyka.mirror.outcome");
    assert_eq!(outcome.as_deref(), Some("mirrored"));
    let table = mirror[0].attribute("boboyka.record_type");
    assert_eq!(table.as_deref(), Some("agent_health"));
    collector.wait_for("POST /v1/boboyka/ingest", 1).await;
    let all = format!("{:?}", collector.spans());
    for secret in ["open-sesame", "never-seen", &supabase.jwt_key()] {
        assert!(!all.contains(secret), "{secret} is in {all}");
    }
}

#[tokio::test]
async fn what_is_malformed_begins_a_trace_and_the_flag_of_the_caller_decides_what_is_kept() {
    let collector = Collector::start().await;
    let sidecar = traced(&collector).await;
    for wrong in [
        "none",
        &sampled().to_uppercase(),
        &format!("{}-", sampled()),
    ] {
        let receipt = ingest(&sidecar, &[("traceparent", wrong)]).await;
        let own = receipt["traceparent"].as_str().unwrap();
        assert!(!own.contains(TRACE) && own.ends_with("-01"), "{own}");
    }
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    let receipt = ingest(&sidecar, &[("traceparent", &unsampled)]).await;
    let own = receipt["traceparent"].as_str().unwrap();
    assert!(own.starts_with(&format!("00-{TRACE}-")) && own.ends_with("-00"));
    ingest(&sidecar, &[("traceparent", &sampled())]).await;
    let spans = collector.wait_for("POST /v1/boboyka/ingest", 4).await;
    let of_the_caller = spans.iter().filter(|one| hex(&one.span.trace_id) == TRACE);
    assert_eq!(of_the_caller.count(), 1);
}

#[tokio::test]
async fn of_traces_that_begin_here_the_share_is_kept_and_none_if_it_is_0() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let flags = ["--otlp-endpoint", &endpoint, "--trace-ratio", "0"];
    let sidecar = Sidecar::start_with(&flags, &[]).await;
    for _ in 0..20 {
        ingest(&sidecar, &[]).await;
    }
    ingest(&sidecar, &[("traceparent", &sampled())]).await;
    let spans = collector.wait_for("POST /v1/boboyka/ingest", 1).await;
    assert_eq!(
        (spans.len(), hex(&spans[0].span.trace_id).as_str()),
        (1, TRACE)
    );
}

#[tokio::test]
async fn without_a_collector_nothing_is_sent_and_the_receipt_names_the_callers_span() {
    let resource = ("OTEL_RESOURCE_ATTRIBUTES", "a=b");
    let empty = ("OTEL_EXPORTER_OTLP_ENDPOINT", "");
    let mut sidecar = Sidecar::start_with(&[], &[resource, empty]).await;
    let receipt = ingest(&sidecar, &[("traceparent", &sampled())]).await;
    assert_eq!(receipt["traceparent"], sampled());
    for headers in [&[][..], &[("traceparent", "00-malformed")]] {
        let receipt = ingest(&sidecar, headers).await;
        assert_eq!(receipt.get("traceparent"), None, "{receipt}");
    }
    assert_eq!(dropped(&sidecar).await, 0);
    assert!(!sidecar.log().contains("traces"), "{}", sidecar.log());
    assert!(sidecar.terminate());
}

#[tokio::test]
async fn headers_and_names_come_from_the_variables_of_opentelemetry() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=never-logged"),
        ("OTEL_SERVICE_NAME", "mine"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
    ];
    let sidecar = Sidecar::start_with(&[], &environment).await;
    ingest(&sidecar, &[]).await;
    let spans = collector.wait_for("POST /v1/boboyka/ingest", 1).await;
    assert_eq!(spans[0].resource("service.name").as_deref(), Some("mine"));
    let deployment = spans[0].resource("deployment.environment.name");
    assert_eq!(deployment.as_deref(), Some("test"));
    let request = &collector.requests()[0];
    assert_eq!(request["x-tenant"], "never-logged");
    assert_eq!(request["content-type"], "application/x-protobuf");
    assert!(!sidecar.log().contains("never-logged"), "{}", sidecar.log());
}

#[tokio::test]
async fn a_collector_that_fails_costs_spans_and_no_record_and_is_logged_once() {
    let collector = Collector::start().await;
    collector.refuse(Some(500));
    let sidecar = traced(&collector).await;
    for _ in 0..INGESTS {
        ingest(&sidecar, &[]).await;
    }
    // A request, two steps, and a commit.
    let all = || async { dropped(&sidecar).await == 4 * INGESTS };
    wait_until(GUARD, all, || sidecar.log()).await;
    let counts = |text: &str| sidecar.log().matches(text).count();
    assert!(collector.requests().len() > 1);
    assert_eq!(counts("could not send traces"), 1, "{}", sidecar.log());
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(status["strand"]["head"]["seq"], INGESTS);

    collector.refuse(None);
    ingest(&sidecar, &[]).await;
    collector.wait_for("POST /v1/boboyka/ingest", 1).await;
    let told = || async { counts("again") == 1 };
    wait_until(GUARD, told, || sidecar.log()).await;
    assert_eq!(dropped(&sidecar).await, 4 * INGESTS);
}

#[tokio::test]
async fn a_collector_that_is_not_there_or_never_answers_keeps_no_ingest_and_no_end() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let absent = format!("http://{}", free_address());
    for endpoint in [&silent, &absent] {
        let mut sidecar = Sidecar::start_with(&["--otlp-endpoint", endpoint], &[]).await;
        // More spans than wait and are on the way.
        for _ in 0..20 {
            let all = (0..50).map(|_| ingest(&sidecar, &[]));
            futures_util::future::join_all(all).await;
        }
        let status = sidecar.get("/v1/boboyka/status").await;
        assert_eq!(status["strand"]["head"]["seq"], 1000);
        let some = || async { dropped(&sidecar).await > 0 };
        wait_until(GUARD, some, || sidecar.log()).await;
        assert!(sidecar.terminate(), "{}", sidecar.log());
    }
}

#[tokio::test]
async fn with_a_collector_it_rests_once_everything_is_sent() {
    let collector = Collector::start().await;
    let mut sidecar = traced(&collector).await;
    ingest(&sidecar, &[]).await;
    collector.wait_for("POST /v1/boboyka/ingest", 1).await;
    let rest = Rest {
        window: std::time::Duration::from_secs(4),
        ticks: 8,
        wakes: 60,
    };
    let pid = sidecar.process().pid();
    let told = || sidecar.log();
    rest.comes(pid, GUARD, told).await;
}

#[tokio::test]
async fn spans_that_wait_are_sent_before_the_end() {
    let collector = Collector::start().await;
    let mut sidecar = traced(&collector).await;
    ingest(&sidecar, &[]).await;
    assert!(sidecar.terminate());
    collector.wait_for("POST /v1/boboyka/ingest", 1).await;
}
