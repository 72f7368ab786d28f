//! The panel in a real Chromium: `tests/panel.sh` does what a person does with it, and looks with axe-core.

use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::{health, lane, with_folder};

/// More records than the panel keeps.
const MANY: u64 = 10_300;
/// What one of the sidecars asks for.
const KEY: &str = "a-key-of-this-test";
/// Enough for a segment.
const SEALED: u64 = 18_000;

fn of_each_type(n: u64) -> Value {
    match n % 4 {
        0 => {
            json!({"record_type": "project_build", "data": {"project_id": "proj_abc", "build_id": format!("bld_{n}"), "status": "running"}})
        }
        1 => {
            json!({"record_type": "build_queue_item", "data": {"queue_id": format!("q_{n}"), "project_id": "proj_abc", "status": "waiting"}})
        }
        2 => json!({"record_type": "agent_health", "data": health(n)}),
        _ => {
            json!({"record_type": "audit_log", "data": {"agent_id": "boboyka_builder", "event": format!("event_{n}")}})
        }
    }
}

async fn fill(sidecar: &Sidecar, records: u64, record: impl Fn(u64) -> Value) {
    let all: Vec<_> = (0..records).map(record).collect();
    for batch in all.chunks(9_000) {
        let body = Value::from(batch).to_string();
        let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// A sidecar whose table rejects some records, and whose disk has damaged a segment.
async fn broken(supabase: &Supabase) -> Sidecar {
    supabase
        .change_schema(
            "alter table agent_health add constraint only_well check (status <> 'unhealthy')",
        )
        .await;
    let sidecar = with_folder(supabase).await;
    fill(&sidecar, SEALED, |n| json!({"record_type": "audit_log", "data": {"agent_id": "a", "event": format!("e{n}")}})).await;
    for n in 0..3 {
        let unwell = json!({"agent_id": format!("agent_{n}"), "status": "unhealthy"});
        sidecar.try_ingest("agent_health", &unwell).await;
    }
    let rejected = || async {
        let (unwell, audit) = (
            lane(&sidecar, "agent_health").await,
            lane(&sidecar, "audit_log").await,
        );
        unwell["dead_lettered"] == 3 && audit["backlog"] == 0
    };
    wait_until(GUARD, rejected, || sidecar.log()).await;
    let segments = sidecar.data_dir().join("segments");
    let sealed = || async { std::fs::read_dir(&segments).unwrap().count() > 0 };
    wait_until(GUARD, sealed, || sidecar.log()).await;
    let segment = std::fs::read_dir(&segments)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(segment.path())
        .unwrap();
    file.write_all_at(&[0; 512], file.metadata().unwrap().len() / 2)
        .unwrap();
    sidecar
}

#[tokio::test]
async fn a_person_can_do_everything_in_the_panel() {
    let supabase = Supabase::start().await;
    let (well, broken) = tokio::join!(Sidecar::start(), broken(&supabase));
    fill(&well, MANY, of_each_type).await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, KEY).unwrap();
    let keyed = Sidecar::start_with(&["--api-key-file", key_file.to_str().unwrap()], &[]).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/panel.sh");
    let mut command = tokio::process::Command::new("bash");
    let command = command
        .arg(script)
        .env("PANEL_URL", well.url(""))
        .env("PANEL_BROKEN_URL", broken.url(""))
        .env("PANEL_KEYED_URL", keyed.url(""))
        .env("PANEL_KEY", KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" passed"), "{text}");
}
