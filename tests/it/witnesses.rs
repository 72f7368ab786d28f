//! Who witnesses a strand's log, by an edited line; and what a witness's word does without evidence, and with it.

use std::sync::{Arc, Mutex};

use axum::http::{StatusCode, header};
use axum::routing::post;
use boboyka_tests::follower::next_origin;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::verifiers::{Litewitness, WITNESS_KEY};
use boboyka_tlog::key::Kind;
use boboyka_tlog::witness::{SIZE_TYPE, monitoring_path};
use boboyka_tlog::{Checkpoint, Note, SigningKey, TreeHash};
use serde_json::json;

use crate::laptop::Laptop;

async fn vkey(laptop: &Laptop) -> String {
    let path = "/v1/boboyka/log/vkey";
    let begun = || async { laptop.sidecar.try_get(path).await.0 == 200 };
    wait_until(GUARD, begun, || "the log did not begin".to_owned()).await;
    let vkey = laptop.sidecar.get(path).await;
    vkey.as_str().unwrap().trim_end().to_owned()
}

async fn ingest(laptop: &Laptop) {
    let data = json!({"agent_id": "a", "event": "e"});
    laptop.sidecar.ingest("audit_log", &data).await;
}

/// The lines of a file that name one witness.
fn audit(key: &str, url: &str) -> String {
    format!(
        "spec:\n  audit: {{witnesses: [{{name: w1, vkey: \"{key}\", url: \"{url}\"}}], quorum: all}}\n"
    )
}

#[tokio::test]
async fn an_edit_names_a_witness_that_cosigns_from_then_on_and_a_wrong_edit_takes_none_away() {
    let laptop = Laptop::start(None).await;
    let witness = Litewitness::start(&[&vkey(&laptop).await]).await;
    ingest(&laptop).await;
    assert_eq!(laptop.status().await["log"]["witnesses"], json!([]));
    let url = witness.url("");
    laptop.edit("spec:\n", &audit(WITNESS_KEY, url.trim_end_matches('/')));
    laptop
        .shows(|it| it["log"]["witnesses"][0]["size"] == 1)
        .await;
    let cosigned = laptop.sidecar.get("/v1/boboyka/log/cosigned").await;
    assert!(cosigned.as_str().unwrap().contains("witness.example/w1"));
    let says = |text: &'static str| {
        let laptop = &laptop;
        async move {
            let said = || async { laptop.status_file().contains(text) };
            wait_until(GUARD, said, || laptop.told()).await;
        }
    };
    says("type: CheckpointsCosigned").await;
    says("cosignedSize: 1").await;

    laptop.edit("quorum: all", "quorum: \"3\"");
    says("spec.audit.quorum").await;
    assert_eq!(laptop.status().await["log"]["witnesses"][0]["size"], 1);
    // The form of the key is right and its id is not, which only the sidecar can find.
    laptop.edit("quorum: \"3\"", "quorum: any");
    laptop.edit("24b5d9fe", "24b5d9ff");
    says("reason: WitnessMissing").await;
    says("id is 24b5d9ff").await;
    laptop.edit("24b5d9ff", "24b5d9fe");
    says("reason: Cosigned").await;
}

/// A witness that says that it has cosigned more, and shows what it is told to show.
async fn liar(shown: Arc<Mutex<String>>) -> String {
    let refuse = || async {
        (
            StatusCode::CONFLICT,
            [(header::CONTENT_TYPE, SIZE_TYPE)],
            "999\n",
        )
    };
    let show = move || {
        let shown = shown.lock().unwrap().clone();
        async move { shown }
    };
    let router = axum::Router::new()
        .route("/add-checkpoint", post(refuse))
        .fallback(show);
    format!("http://{}", boboyka_tests::serve(router).await)
}

#[tokio::test]
async fn the_word_of_a_witness_ends_no_incarnation_and_the_logs_own_signature_does() {
    let laptop = Laptop::start(None).await;
    let vkey = vkey(&laptop).await;
    let origin = vkey.split('+').next().unwrap().to_owned();
    ingest(&laptop).await;
    let ahead = Checkpoint::new(origin.clone(), 999, TreeHash::of_leaf(b"x")).unwrap();
    let other = SigningKey::from_seed(&origin, Kind::Log, [9; 32]).unwrap();
    let shown = Arc::new(Mutex::new(ahead.sign(&other).to_string()));
    let url = liar(Arc::clone(&shown)).await;
    laptop.edit("spec:\n", &audit(WITNESS_KEY, &url));
    let contradicted = || async { laptop.status_file().contains("reason: WitnessContradicts") };
    wait_until(GUARD, contradicted, || laptop.told()).await;
    let checked = || async { laptop.sidecar.log().contains("is no evidence") };
    wait_until(GUARD, checked, || laptop.sidecar.log()).await;
    assert_eq!(laptop.status().await["log"]["origin"], origin.as_str());

    // The key beside the strand signs what the strand does not hold: so does a volume that was set back.
    let key = laptop.sidecar.data_dir().join("tlog/key");
    let key = SigningKey::from_secret_text(&std::fs::read_to_string(key).unwrap(), Kind::Log);
    let evidence: Note = ahead.sign(&key.unwrap().named(&origin).unwrap());
    *shown.lock().unwrap() = evidence.to_string();
    let next = next_origin(&origin);
    laptop
        .shows(|it| it["log"]["origin"] == next.as_str())
        .await;
    let events = laptop.sidecar.get("/v1/boboyka/events?include=data").await;
    let events = events.to_string();
    assert!(
        events.contains("log_incarnation") && events.contains("fewer records"),
        "{events}"
    );
    let named = || async { laptop.status_file().contains("held: Fewer") };
    wait_until(GUARD, named, || laptop.told()).await;
    assert_eq!(monitoring_path("a").len(), 64 + "/checkpoint".len());
}
