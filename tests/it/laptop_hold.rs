//! A legal hold by an edited line: nothing is pruned while it is on, whatever the limits say, and over a restart.

use boboyka_tests::process::{GUARD, wait_until};
use serde_json::{Value, json};

use crate::laptop::Laptop;
use crate::log_lives::fill;

/// More than a strand of a mebibyte may keep.
const MANY: u64 = 2_000;

fn floor(status: &Value) -> u64 {
    status["strand"]["floor"]["seq"].as_u64().unwrap()
}

/// Waits until a run of retention after now has left everything because of the hold.
async fn keeps_everything(laptop: &Laptop) -> Value {
    let ran = |it: &Value| it["retention"]["last_run_ms"].as_u64().unwrap_or_default();
    let before = ran(&laptop.status().await);
    let kept = |it: &Value| it["retention"]["blocked_by"]["by"] == "legal_hold" && ran(it) > before;
    let status = laptop.shows(kept).await;
    assert_eq!(status["retention"]["hold"], true);
    status
}

/// A strand that takes more than it may, under a hold.
async fn on_hold() -> Laptop {
    let laptop = Laptop::start(None).await;
    laptop.edit(
        "# edit this line\n",
        "\n  retention: {maxSize: 1Mi, hold: true}\n",
    );
    laptop.shows(|it| it["retention"]["hold"] == true).await;
    fill(&laptop.sidecar, MANY).await;
    laptop
}

#[tokio::test]
async fn a_hold_keeps_every_record_over_a_kill_until_it_is_lifted_and_from_when_it_is_set_again() {
    let mut laptop = on_hold().await;
    assert_eq!(floor(&keeps_everything(&laptop).await), 0);
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    assert_eq!(floor(&keeps_everything(&laptop).await), 0);
    let first = laptop.sidecar.try_get("/v1/boboyka/records/1").await;
    assert_eq!(first.0, 200, "{first:?}");

    laptop.edit("hold: true", "hold: false");
    let pruned = laptop.shows(|it| floor(it) >= MANY / 4).await;
    assert_eq!(
        (
            &pruned["retention"]["hold"],
            &pruned["retention"]["blocked_by"]
        ),
        (&json!(false), &Value::Null)
    );
    laptop.edit("hold: false", "hold: true");
    let held = laptop.shows(|it| it["retention"]["hold"] == true).await;
    fill(&laptop.sidecar, MANY).await;
    assert_eq!(floor(&keeps_everything(&laptop).await), floor(&held));
    let (_, verdict) = laptop.sidecar.try_get("/v1/boboyka/verify").await;
    // A check that takes longer tells how far it is in lines of its own.
    let newest = verdict.as_str().and_then(|lines| lines.lines().last());
    let verdict = newest.map_or(verdict.clone(), |line| serde_json::from_str(line).unwrap());
    assert_eq!(verdict["ok"], true, "{verdict}");
}

#[tokio::test]
async fn a_hold_is_said_with_who_set_it_and_a_wrong_one_is_named() {
    let laptop = Laptop::start(None).await;
    let says = |text: &'static str| {
        let laptop = &laptop;
        async move {
            let said = || async { laptop.status_file().contains(text) };
            wait_until(GUARD, said, || laptop.told()).await;
        }
    };
    laptop.edit("# edit this line\n", "\n  retention: {hold: maybe}\n");
    says("spec.retention.hold: invalid type").await;
    assert_eq!(laptop.status().await["retention"]["hold"], false);
    // Without any limit it is on all the same.
    laptop.edit("hold: maybe", "hold: true");
    says("legalHold:\n    active: true\n").await;
    says("reason: LegalHold\n").await;
    let status = laptop.shows(|it| it["retention"]["hold"] == true).await;
    assert_eq!(status["retention"]["blocked_by"], Value::Null);
    let metrics = laptop.sidecar.metrics().await;
    assert!(metrics.contains("boboyka_legal_hold 1\n"), "{metrics}");
    let status = laptop.status_file();
    let (_, hold) = status.split_once("legalHold:").unwrap();
    let by = hold
        .lines()
        .find_map(|line| line.trim().strip_prefix("by: "));
    let by = by.unwrap().to_owned();
    let logs = |text: String| {
        let laptop = &laptop;
        async move {
            let logged = || async { laptop.sidecar.log().contains(&text) };
            wait_until(GUARD, logged, || laptop.told()).await;
        }
    };
    logs(format!("(spec.retention.hold), set by {by}")).await;

    laptop.edit("hold: true", "hold: false");
    says("legalHold:\n    active: false\n").await;
    laptop.shows(|it| it["retention"]["hold"] == false).await;
    logs(format!("{by} lifted the legal hold")).await;
}

#[tokio::test]
async fn a_disk_that_is_full_under_a_hold_answers_507_and_names_the_hold() {
    let laptop = Laptop::start_with(&["--min-free-bytes", "9000000000000000"]).await;
    let data = json!({"agent_id": "a", "event": "e"});
    let refused = async || {
        let (status, error) = laptop.sidecar.try_ingest("audit_log", &data).await;
        assert_eq!(
            (status, &error["code"]),
            (507, &json!("disk_full")),
            "{error}"
        );
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(!refused().await.contains("hold"));
    laptop.edit("# edit this line\n", "\n  retention: {hold: true}\n");
    laptop.shows(|it| it["retention"]["hold"] == true).await;
    let said = refused().await;
    assert!(
        said.contains("a legal hold (spec.retention.hold) keeps every record"),
        "{said}"
    );
}
