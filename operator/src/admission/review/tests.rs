use axum::body::Body;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::json;
use tower::ServiceExt as _;

use super::*;

/// A router whose decision is always this.
fn deciding(decide: impl Fn() -> Decision + Send + Sync + 'static) -> Router {
    let decide: Decide = Arc::new(move |_| {
        let decision = std::panic::catch_unwind(AssertUnwindSafe(&decide));
        async move { decision.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) }.boxed()
    });
    router(decide, paths(), Arc::default(), Arc::default())
}

const PATH: &str = "/inject/secret";

fn paths() -> Paths {
    let paths = Paths::default();
    paths.accept([PATH.to_owned()], std::time::Instant::now());
    paths
}

fn review() -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "agents", "operation": "CREATE", "userInfo": {}, "dryRun": true,
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"},
            "spec": {"containers": [], "aFieldOfTheFuture": {"kept": true}}},
        "oldObject": null, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }})
}

async fn post_to(router: Router, body: impl Into<Body>) -> (StatusCode, String) {
    let body: Body = body.into();
    let length = axum::body::HttpBody::size_hint(&body).exact();
    let mut request = Request::post(PATH).body(body).unwrap();
    if let Some(length) = length {
        request
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    send(router, request).await
}

async fn send(router: Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.oneshot(request).await.unwrap();
    let code = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

async fn answer_to(decision: Decision) -> Value {
    let router = deciding(move || decision.clone());
    let (code, body) = post_to(router, review().to_string()).await;
    assert_eq!(code, StatusCode::OK, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].clone()
}

#[tokio::test]
async fn a_patch_is_answered_as_bytes_of_json() {
    let patch = Patch(vec![PatchOperation::Add(AddOperation {
        path: "/metadata/labels".parse().unwrap(),
        value: json!({"a": "b"}),
    })]);
    let answer = answer_to(Decision::Inject(patch.clone())).await;
    assert_eq!(answer["uid"], "u-1");
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["patchType"], "JSONPatch");
    let bytes = base64_of(&answer["patch"]);
    assert_eq!(serde_json::from_slice::<Patch>(&bytes).unwrap(), patch);
}

/// The bytes that Go reads there.
fn base64_of(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("Go reads bytes from base64");
    STANDARD.decode(text).unwrap()
}

#[tokio::test]
async fn a_pod_that_is_skipped_is_let_in_and_the_audit_log_knows_why() {
    let answer = answer_to(Decision::Skip("no label".into())).await;
    assert_eq!(answer["allowed"], true);
    assert_eq!(answer["auditAnnotations"]["skipped"], "no label");
    assert!(answer.get("patch").is_none());
}

#[tokio::test]
async fn a_pod_that_is_refused_hears_why() {
    let answer = answer_to(Decision::Refuse("no integration".into())).await;
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["status"]["message"], "no integration");
    assert_eq!(answer["status"]["code"], 403);
}

#[tokio::test]
async fn fields_of_a_newer_kubernetes_reach_the_decision() {
    let decide: Decide = Arc::new(|review| {
        let kept = review.object.unwrap().data["spec"]["aFieldOfTheFuture"]["kept"].clone();
        async move { Decision::Skip(kept.to_string()) }.boxed()
    });
    let router = router(decide, paths(), Arc::default(), Arc::default());
    let (_, body) = post_to(router, review().to_string()).await;
    assert!(body.contains(r#""skipped":"true""#), "{body}");
}

#[tokio::test]
async fn what_is_no_review_is_refused_clearly() {
    let skip = || deciding(|| Decision::Skip(String::new()));
    let mut other = review();
    other["apiVersion"] = "admission.k8s.io/v1beta1".into();
    let answered = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"});
    for (body, says) in [
        ("{".to_owned(), "no AdmissionReview"),
        (other.to_string(), "v1beta1"),
        (answered.to_string(), "no request"),
    ] {
        let (code, said) = post_to(skip(), body).await;
        assert_eq!(code, StatusCode::BAD_REQUEST);
        assert!(said.contains(says), "{said}");
    }
    let (code, said) = post_to(skip(), vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "{said}");
}

#[tokio::test]
async fn a_decision_that_panics_is_answered_and_told() {
    let panicked = Arc::new(Notify::new());
    let metrics = Arc::new(Metrics::default());
    let decide: Decide = Arc::new(|_| async { panic!("on purpose") }.boxed());
    let router = router(decide, paths(), Arc::clone(&metrics), Arc::clone(&panicked));
    let (code, said) = post_to(router, review().to_string()).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR, "{said}");
    panicked.notified().await;
    let counted = r#"boboyka_operator_admissions_total{decision="panicked"} 1"#;
    assert!(metrics.text().unwrap().contains(counted));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_takes_too_long_is_an_error_not_a_wait() {
    let decide: Decide = Arc::new(|_| std::future::pending().boxed());
    let router = router(decide, paths(), Arc::default(), Arc::default());
    let (code, said) = post_to(router, review().to_string()).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(said.contains("within 4s"), "{said}");
}

#[tokio::test]
async fn whoever_does_not_know_the_path_is_not_heard() {
    let never = || panic!("nothing is decided");
    // A body that never comes: it is not waited for.
    let pending = || Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
    for request in [
        Request::post("/inject").body(pending()),
        Request::post("/").body(pending()),
        Request::post(format!("{PATH}/")).body(pending()),
        Request::get(PATH).body(pending()),
    ] {
        let (code, said) = send(deciding(never), request.unwrap()).await;
        assert_eq!((code, said.as_str()), (StatusCode::NOT_FOUND, ""));
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_do_not_arrive_keep_no_review_waiting() {
    let router = deciding(|| Decision::Skip(String::new()));
    let half = |bytes: usize| {
        let body = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        let request = Request::post(PATH).header(header::CONTENT_LENGTH, bytes);
        let (router, request) = (router.clone(), request.body(body).unwrap());
        tokio::spawn(async move { send(router, request).await })
    };
    let slow: Vec<_> = (0..300).map(|_| half(1000)).collect();
    tokio::task::yield_now().await;
    let (code, said) = post_to(router.clone(), review().to_string()).await;
    assert_eq!(code, StatusCode::OK, "{said}");
    for one in slow {
        let (code, said) = one.await.unwrap();
        assert_eq!(code, StatusCode::BAD_REQUEST, "{said}");
        assert!(said.contains("within 1 s"), "{said}");
    }
    // Two of the largest fill the room; a third waits for it, and no longer than for its body.
    let large: Vec<_> = (0..3).map(|_| half(BODY_BYTES_MAX)).collect();
    for one in large {
        assert_eq!(one.await.unwrap().0, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn the_answer_is_there_before_the_api_server_gives_up() {
    for (query, answered) in [
        (None, 4000),
        (Some("timeout=10s"), 4000),
        (Some("timeout=1s"), 800),
        (Some("a=b&timeout=500ms"), 400),
        (Some("timeout=soon"), 4000),
    ] {
        assert_eq!(
            deadline(query),
            Duration::from_millis(answered),
            "{query:?}"
        );
    }
}
