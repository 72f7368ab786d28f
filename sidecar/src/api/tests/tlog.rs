//! The strand's transparency log over HTTP.

use axum::body::Body;
use axum::http::{Request, header};
use boboyka_store::TlogKey;
use boboyka_tlog::{Bundle, Checkpoint, Note, TreeHash, VerifierKey};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::Running;

impl Running {
    async fn begin_tlog(&self) {
        let store = self.store.clone();
        let begun = tokio::task::spawn_blocking(move || store.begin_tlog(&TlogKey::Own, None, &[]));
        begun.await.unwrap().unwrap();
    }

    /// Status, content type, cache control, body.
    async fn raw(&self, path: &str) -> (u16, String, String, Vec<u8>) {
        let request = Request::get(path).header("host", "localhost");
        let answer = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await;
        let answer = answer.unwrap();
        let value = |name| {
            let value = answer.headers().get(name);
            value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        let (kind, cache) = (value(header::CONTENT_TYPE), value(header::CACHE_CONTROL));
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, kind, cache, body.to_vec())
    }
}

#[tokio::test]
async fn a_record_is_proven_by_what_the_log_serves_in_its_public_forms() {
    let running = Running::start(false);
    let (status, error) = running.get("/v1/boboyka/log/checkpoint").await;
    assert_eq!((status, &error["code"]), (503, &"log_unavailable".into()));
    running.begin_tlog().await;
    let mut hash = String::new();
    for _ in 0..5 {
        hash = running.ingest().await["record_hash"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let (status, kind, _, proof) = running.raw(&format!("/v1/boboyka/proof/{hash}")).await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    let by_seq = running.raw("/v1/boboyka/proof/5").await.3;
    assert_eq!(by_seq, proof);
    let bundle = Bundle::from_bytes(&proof).unwrap();
    let header = bundle.extra.clone().unwrap();
    assert_eq!((bundle.index, header.len()), (4, 105));
    let checkpoint = bundle.verify(TreeHash::of_leaf(&header)).unwrap();
    assert_eq!(checkpoint.size(), 5);

    let (_, kind, cache, newest) = running.raw("/v1/boboyka/log/checkpoint").await;
    assert_eq!(
        (kind.as_str(), cache.as_str()),
        ("text/plain; charset=utf-8", "public, max-age=1")
    );
    let (_, _, _, vkey) = running.raw("/v1/boboyka/log/vkey").await;
    let vkey: VerifierKey = String::from_utf8(vkey).unwrap().trim_end().parse().unwrap();
    let note = Note::from_bytes(&newest).unwrap();
    assert_eq!(Checkpoint::verify(&note, &[vkey]).unwrap().0, checkpoint);

    let (_, kind, cache, tile) = running.raw("/v1/boboyka/log/tile/0/000.p/5").await;
    assert_eq!(
        (kind.as_str(), tile.len()),
        ("application/octet-stream", 160)
    );
    assert!(cache.contains("immutable"), "{cache}");
    let (_, _, _, entries) = running.raw("/v1/boboyka/log/tile/entries/000.p/5").await;
    assert_eq!(entries.len(), 5 * 107);
    assert_eq!(entries[4 * 107 + 2..], header);
    let (_, status) = running.get("/v1/boboyka/status").await;
    assert_eq!(status["log"]["origin"], checkpoint.origin());
    assert_eq!(status["log"]["size"], 5);
    assert_eq!(status["log"]["incarnation"], 1);
    assert_eq!(status["log"]["minimum_index"], 0);
}

#[tokio::test]
async fn consistency_between_two_sizes_is_proven_and_wrong_sizes_are_named() {
    let running = Running::start(false);
    running.begin_tlog().await;
    for _ in 0..3 {
        running.ingest().await;
    }
    let at = |query: &str| format!("/v1/boboyka/log/consistency?{query}");
    let (status, proof) = running.get(&at("from=1&to=3")).await;
    assert_eq!(
        (status, proof["hashes"].as_array().unwrap().len()),
        (200, 2)
    );
    for (query, status, field) in [
        ("from=3&to=1", 400, "from"),
        ("from=1&to=4", 404, "to"),
        ("from=1", 400, "to"),
        ("from=x&to=1", 400, "from"),
        ("from=1&to=2&x=1", 400, "x"),
    ] {
        let (found, error) = running.get(&at(query)).await;
        assert_eq!(
            (found, &error["field"]),
            (status, &field.into()),
            "{query}: {error}"
        );
    }
}

#[tokio::test]
async fn what_the_log_does_not_have_gets_404_and_what_is_no_tile_400() {
    let running = Running::start(false);
    running.begin_tlog().await;
    running.ingest().await;
    for (path, status) in [
        ("log/tile/0/000.p/1", 200),
        ("log/tile/0/000.p/2", 404),
        ("log/tile/0/000", 404),
        ("log/tile/1/000.p/1", 404),
        ("log/tile/entries/001.p/1", 404),
        ("log/tile/0/0", 400),
        ("log/tile/9/000.p/1", 400),
        ("log/tile/0/000.p/256", 400),
        ("log/tile/0/../000", 400),
        (&format!("proof/{}", "0".repeat(64)), 404),
        ("proof/xyz", 400),
    ] {
        let (found, _, _, body) = running.raw(&format!("/v1/boboyka/{path}")).await;
        assert_eq!(found, status, "{path}: {}", String::from_utf8_lossy(&body));
    }
}
