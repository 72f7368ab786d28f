//! How the sidecar begins and ends: what waits for it, what it waits for, and that it is quick otherwise.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use boboyka_tests::process::{Process, free_address};
use boboyka_tests::{Fault, Sidecar, Supabase, sidecar};
use serde_json::json;

use crate::mirror::{health, with_folder};

const LIMIT: Duration = Duration::from_mins(1);
const AT_ONCE: Duration = Duration::from_secs(2);

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
    let waited = tokio::task::spawn_blocking(move || process.wait(LIMIT));
    waited.await.unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_sidecar_with_nothing_left_to_do_ends_at_once() {
    let supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    let begun = Instant::now();
    assert!(sidecar.terminate());
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_that_is_told_to_drain_ends_when_supabase_has_everything() {
    let supabase = Supabase::start().await;
    let folder = supabase.folder();
    let arguments = [
        "--supabase-dir",
        folder.to_str().unwrap(),
        "--drain-seconds",
        "20",
    ];
    let mut sidecar = Sidecar::start_with(&arguments, &[]).await;
    sidecar.ingest("agent_health", &health(0)).await;
    supabase.fail_next((0..3).map(|_| Fault::Status(503, "", None)));
    sidecar.ingest("agent_health", &health(1)).await;
    let ended = tokio::task::spawn_blocking(move || sidecar.terminate());
    assert!(ended.await.unwrap());
    assert_eq!(supabase.rows("agent_health").len(), 2);
}

#[tokio::test]
async fn one_that_is_told_to_drain_waits_no_longer_than_that() {
    let mut supabase = Supabase::start().await;
    let folder = supabase.folder();
    let arguments = [
        "--supabase-dir",
        folder.to_str().unwrap(),
        "--drain-seconds",
        "1",
    ];
    let mut sidecar = Sidecar::start_with(&arguments, &[]).await;
    supabase.stop_postgres();
    sidecar.ingest("agent_health", &health(0)).await;
    let begun = Instant::now();
    sidecar.process().signal("TERM");
    // Records are taken to the end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    sidecar.ingest("agent_health", &health(1)).await;
    let ended = tokio::task::spawn_blocking(move || sidecar.process().wait(LIMIT));
    assert!(ended.await.unwrap());
    let took = begun.elapsed();
    assert!((1.0..3.0).contains(&took.as_secs_f64()), "{took:?}");
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
    supabase.fail_next((0..8).map(|_| Fault::Slow(AT_ONCE)));
    let mut drain = drain(&sidecar.data_dir(), Some(&supabase.folder()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!drain.has_ended(), "{}", drain.log());
    let refused = boboyka_tests::client().get(sidecar.url("/v1/boboyka/status"));
    assert!(refused.send().await.unwrap_err().is_connect());
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
    assert!(drain.wait(LIMIT), "{}", drain.log());
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
    let begun = Instant::now();
    let output = command(&["wait"])
        .env("BOBOYKA_OBSERVE", observe)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
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
