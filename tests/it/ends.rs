//! How the sidecar begins and ends: what waits for it, what it waits for, and that it is quick otherwise.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use boboyka_tests::process::{GUARD, Process, free_address, wait_until};
use boboyka_tests::{Fault, Sidecar, Supabase, sidecar};
use serde_json::json;

use crate::mirror::{health, with_folder};

/// A time to drain that no test waits for.
const FOREVER: &str = "3600";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(sidecar::binary());
    command.args(arguments);
    command
}

fn drain(data_dir: &Path, folder: Option<&Path>) -> Process {
    let mut command = command(&["drain", "--observe", &free_address().to_string()]);
    command.arg("--data-dir").arg(data_dir);
    if let Some(folder) = folder {
        command.arg("--supabase-dir").arg(folder);
    }
    Process::start(&mut command, &data_dir.with_file_name("drain.log"))
}

/// Whether it ended well; what plays Supabase goes on meanwhile.
async fn ends_well(mut process: Process) -> bool {
    let waited = tokio::task::spawn_blocking(move || process.wait(GUARD));
    waited.await.unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A sidecar that mirrors to a Supabase and is given some seconds to drain.
async fn draining(supabase: &Supabase, seconds: &str) -> Sidecar {
    let folder = supabase.folder();
    let folder = folder.to_str().unwrap();
    let arguments = ["--supabase-dir", folder, "--drain-seconds", seconds];
    Sidecar::start_with(&arguments, &[]).await
}

#[tokio::test]
async fn a_sidecar_with_nothing_left_to_mirror_does_not_wait_for_its_drain() {
    let supabase = Supabase::start().await;
    let mut sidecar = draining(&supabase, FOREVER).await;
    sidecar.ingest("agent_health", &health(0)).await;
    let ended = tokio::task::spawn_blocking(move || sidecar.terminate());
    assert!(ended.await.unwrap());
}

#[tokio::test]
async fn one_that_drains_takes_records_and_ends_when_supabase_has_everything() {
    let mut supabase = Supabase::start().await;
    let mut sidecar = draining(&supabase, FOREVER).await;
    supabase.stop_postgres();
    sidecar.ingest("agent_health", &health(0)).await;
    sidecar.process().signal("TERM");
    let drains = || async { sidecar.log().contains("drain") };
    wait_until(GUARD, drains, || sidecar.log()).await;
    sidecar.ingest("agent_health", &health(1)).await;
    assert!(!sidecar.process().has_ended());
    supabase.start_postgres();
    supabase.fail_next((0..3).map(|_| Fault::Status(503, "", None)));
    let ended = tokio::task::spawn_blocking(move || sidecar.process().wait(GUARD));
    assert!(ended.await.unwrap());
    assert_eq!(supabase.rows("agent_health").len(), 2);
}

#[tokio::test]
async fn one_that_drains_waits_for_supabase_no_longer_than_it_is_told() {
    let mut supabase = Supabase::start().await;
    let mut sidecar = draining(&supabase, "1").await;
    supabase.stop_postgres();
    sidecar.ingest("agent_health", &health(0)).await;
    let begun = Instant::now();
    let ended = tokio::task::spawn_blocking(move || sidecar.terminate());
    assert!(ended.await.unwrap());
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "it did not drain"
    );
}

#[tokio::test]
async fn a_drain_mirrors_what_a_strand_still_holds_and_takes_nothing() {
    let mut supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    supabase.stop_postgres();
    sidecar.ingest("agent_health", &health(0)).await;
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
        .await;
    assert!(sidecar.terminate());
    supabase.start_postgres();
    supabase.hold();
    let before = supabase.requests();
    let mut drain = drain(&sidecar.data_dir(), Some(&supabase.folder()));
    let asks = || async { supabase.requests() > before };
    wait_until(GUARD, asks, || drain.log()).await;
    assert!(!drain.has_ended(), "{}", drain.log());
    let refused = boboyka_tests::client().get(sidecar.url("/v1/boboyka/status"));
    assert!(refused.send().await.unwrap_err().is_connect());
    supabase.release();
    assert!(ends_well(drain).await);
    assert_eq!(supabase.rows("agent_health").len(), 1);
    assert_eq!(supabase.rows("agent_audit_log").len(), 1);
}

#[tokio::test]
async fn a_drain_without_supabase_says_so_and_ends() {
    let mut sidecar = Sidecar::start().await;
    sidecar.ingest("agent_health", &health(0)).await;
    assert!(sidecar.terminate());
    let mut drain = drain(&sidecar.data_dir(), None);
    assert!(drain.wait(GUARD), "{}", drain.log());
    assert!(
        drain.log().contains("no supabase is configured"),
        "{}",
        drain.log()
    );
}

#[tokio::test]
async fn waiting_ends_well_once_the_sidecar_is_ready_and_not_before() {
    let free = free_address().to_string();
    let output = command(&["wait", "--observe", &free, "--timeout", "200ms"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains(&format!("{free} was not ready after 200ms")),
        "{}",
        errors(&output)
    );
    let sidecar = Sidecar::start().await;
    let observe = sidecar.observe_url("");
    let observe = observe.trim_start_matches("http://");
    let output = command(&["wait"])
        .env("BOBOYKA_OBSERVE", observe)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

#[tokio::test]
async fn a_first_start_logs_the_phase_that_the_strand_begins_in_and_no_change() {
    let mut sidecar = Sidecar::start().await;
    let begins = "the strand begins in the phase DualWrite";
    assert!(sidecar.log().contains(begins), "{}", sidecar.log());
    assert!(sidecar.terminate());
    sidecar.restart().await;
    let log = sidecar.log();
    assert_eq!(log.matches(begins).count(), 1, "{log}");
    assert!(!log.contains("the phase changes"), "{log}");
}

#[tokio::test]
async fn the_log_is_json_where_no_terminal_is_and_text_where_it_is_asked_for() {
    let is_json = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    let logged = |log: &str, format: &str| {
        let line = log.lines().find(|line| line.contains("takes records on"));
        let json = line.as_ref().map(is_json);
        assert_eq!(json, Some(format == "json"), "{format}: {log}");
    };
    logged(&Sidecar::start().await.log(), "json");
    for (arguments, environment, format) in [
        (&["--log-format", "text"][..], &[][..], "text"),
        (&[], &[("BOBOYKA_LOG_FORMAT", "text")], "text"),
        (&[], &[("BOBOYKA_LOG_FORMAT", "json")], "json"),
    ] {
        let sidecar = Sidecar::start_with(arguments, environment).await;
        logged(&sidecar.log(), format);
    }
}

#[test]
fn a_place_in_a_cluster_that_is_told_by_halves_is_refused_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&["--data-dir"]);
    command.arg(folder.path().join("data"));
    command
        .env("BOBOYKA_NAMESPACE", "n")
        .env("BOBOYKA_INTEGRATION", "i")
        .env("BOBOYKA_STRAND", "s");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let missing = "BOBOYKA_NAMESPACE is set but BOBOYKA_POD_UID is not";
    assert!(errors(&output).contains(missing), "{}", errors(&output));
}
