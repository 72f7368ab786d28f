//! Documents, followed by their commands.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use boboyka_tests::document::commands;
use boboyka_tests::process::{GUARD, Process, ends, free_address, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::backfill::old_supabase;

/// Host and port of its API.
fn address(sidecar: &Sidecar) -> String {
    sidecar.url("").replace("http://", "")
}

/// Runs commands beside a sidecar; what each prints is as the document says.
async fn follow(commands: &[(String, Vec<String>)], sidecar: &Sidecar, folder: &Path) {
    let program = boboyka_tests::sidecar::binary();
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    for (command, expected) in commands {
        let line = command.replace("localhost:7475", &address(sidecar));
        // A busy machine takes longer than a reader would wait.
        let line = line.replace("phase --to", "phase --timeout 5m --to");
        let line = line.replace("target/release/boboyka-sidecar", "boboyka-sidecar");
        // Supabase answers meanwhile, in this runtime.
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &line]).env("PATH", &path);
        let output = ends(&line, shell.current_dir(folder).kill_on_drop(true).output()).await;
        let output = output.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let told = || format!("{line}\n{printed}\n{output:?}\n{}", sidecar.log());
        assert!(output.status.success(), "{}", told());
        for line in expected {
            let parts: Vec<_> = line.split('…').collect();
            assert!(
                parts.iter().all(|part| printed.contains(part)),
                "{line}: {}",
                told()
            );
        }
        assert_eq!(printed.is_empty(), expected.is_empty(), "{}", told());
    }
}

/// Follows `docs/migration.md` beside a sidecar that has the example.
async fn follow_the_migration(arguments: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("integration.yaml");
    fs::write(&file, include_str!("../../examples/integration.yaml")).unwrap();
    let arguments = [&["--integration", file.to_str().unwrap()], arguments].concat();
    let sidecar = Sidecar::start_with(&arguments, &[]).await;
    let commands = commands(include_str!("../../docs/migration.md"));
    assert!(commands.len() > 8, "{commands:?}");
    // The first starts the sidecar.
    follow(&commands[1..], &sidecar, folder.path()).await;
}

#[tokio::test]
async fn the_document_of_the_migration_works_without_supabase() {
    follow_the_migration(&[]).await;
}

#[tokio::test]
async fn the_document_of_the_migration_works_with_a_supabase() {
    let supabase = Supabase::start().await;
    follow_the_migration(&["--supabase-dir", supabase.folder().to_str().unwrap()]).await;
}

#[tokio::test]
async fn the_document_of_a_backfill_works_beside_tables_that_were_there_before() {
    let folder = tempfile::tempdir().unwrap();
    let (supabase, sidecar) = (old_supabase().await, Sidecar::start().await);
    std::os::unix::fs::symlink(supabase.folder(), folder.path().join("supabase")).unwrap();
    let mut commands = commands(include_str!("../../docs/backfill.md"));
    assert_eq!(commands.len(), 6, "{commands:?}");
    follow(&commands[..3], &sidecar, folder.path()).await;
    // The fourth serves the history until it is ended.
    let (listen, observe) = (free_address().to_string(), free_address().to_string());
    for (line, _) in &mut commands {
        *line = line.replace("localhost:7485", &listen);
        *line = line.replace("localhost:7486", &observe);
    }
    let mut words = commands[3].0.split(' ');
    assert_eq!(words.next(), Some("boboyka-sidecar"));
    let mut serving = std::process::Command::new(boboyka_tests::sidecar::binary());
    let serving = serving.args(words).current_dir(folder.path());
    let serving = Process::start(serving, &folder.path().join("serving.log"));
    // The sidecar's own client asks the other one.
    let ready = || async {
        let request = sidecar.request(reqwest::Method::GET, "/");
        let client = request.build_split().0;
        let answer = client.get(format!("http://{observe}/ready")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    wait_until(GUARD, ready, || serving.log()).await;
    follow(&commands[4..], &sidecar, folder.path()).await;
}

#[tokio::test]
async fn the_document_of_an_archive_works_from_the_first_record_to_the_restored_strand() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let commands = commands(include_str!("../../docs/archive.md"));
    assert_eq!(commands.len(), 8, "{commands:?}");
    fs::create_dir(folder.path().join("archive")).unwrap();
    // The second starts the sidecar.
    let started = commands[1].0.replace("$PWD", &place).replace('"', "");
    let flags = started.strip_prefix("boboyka-sidecar --data-dir lost ");
    let flags: Vec<_> = flags.unwrap().split(' ').collect();
    let mut sidecar = Sidecar::start_with(&flags, &[]).await;
    let has_key = || async { sidecar.try_get("/v1/boboyka/log/vkey").await.0 == 200 };
    wait_until(GUARD, has_key, || "the log did not begin".to_owned()).await;
    follow(&commands[2..4], &sidecar, folder.path()).await;
    crate::archive::holds(&sidecar, 1).await;
    follow(&commands[4..5], &sidecar, folder.path()).await;
    sidecar.kill_9();
    fs::remove_dir_all(sidecar.data_dir()).unwrap();
    follow(&commands[5..], &sidecar, folder.path()).await;
}

#[tokio::test]
async fn the_document_for_a_start_works_from_the_first_record_to_the_last_phase() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("examples/integration.yaml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, include_str!("../../examples/integration.yaml")).unwrap();
    let sidecar = Sidecar::start_with(&["--integration", file.to_str().unwrap()], &[]).await;
    let commands = commands(include_str!("../../docs/start.md"));
    assert!(commands.len() > 7, "{commands:?}");
    assert_eq!(commands[0].0, "make run");
    follow(&commands[1..], &sidecar, folder.path()).await;
}

#[tokio::test]
async fn the_document_for_agents_works() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::start().await;
    let mut commands = commands(include_str!("../../docs/agents.md"));
    // The tests of the package run its commands.
    commands.retain(|(line, _)| {
        !["pip ", "python "]
            .iter()
            .any(|word| line.starts_with(word))
    });
    assert!(commands.len() > 7, "{commands:?}");
    follow(&commands, &sidecar, folder.path()).await;
}

/// Its only command goes on until the reader has had enough.
#[tokio::test]
async fn the_stream_of_the_document_works() {
    let sidecar = Sidecar::start().await;
    let record = serde_json::json!({"agent_id": "a", "event": "streamed"});
    sidecar.ingest("audit_log", &record).await;
    let commands = commands(include_str!("../../docs/api.md"));
    assert_eq!(commands.len(), 1, "{commands:?}");
    let line = commands[0].0.replace("localhost:7475", &address(&sidecar));
    let mut shell = Command::new("sh");
    let shell = shell
        .args(["-c", &format!("exec {line}")])
        .kill_on_drop(true);
    let mut curl = shell.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    loop {
        let line = ends("the next line", lines.next_line()).await;
        let line = line.unwrap().unwrap();
        if line.contains("streamed") {
            break;
        }
    }
}

#[tokio::test]
async fn the_document_of_supabase_works_on_the_tables_of_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let supabase = Supabase::start().await;
    let sidecar = Sidecar::start_with(
        &["--supabase-dir", supabase.folder().to_str().unwrap()],
        &[],
    )
    .await;
    let commands = commands(include_str!("../../docs/supabase.md"));
    assert!(commands.len() > 4, "{commands:?}");
    follow(&commands, &sidecar, folder.path()).await;
}

#[tokio::test]
async fn the_document_of_an_audit_works_from_the_receipt_to_the_proof() {
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Sidecar::start().await;
    let has_key = || async { sidecar.try_get("/v1/boboyka/log/vkey").await.0 == 200 };
    wait_until(GUARD, has_key, || "the log did not begin".to_owned()).await;
    std::os::unix::fs::symlink(sidecar.data_dir(), folder.path().join("boboyka-data")).unwrap();
    let commands = commands(include_str!("../../docs/audit.md"));
    assert!(commands.len() > 14, "{commands:?}");
    follow(&commands, &sidecar, folder.path()).await;
}
