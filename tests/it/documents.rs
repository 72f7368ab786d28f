//! Documents, followed by their commands.

use std::fs;
use std::path::Path;

use boboyka_tests::document::commands;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use tokio::process::Command;

/// Runs commands beside a sidecar; what each prints is as the document says.
async fn follow(commands: &[(String, Vec<String>)], sidecar: &Sidecar, folder: &Path) {
    let program = boboyka_tests::sidecar::binary();
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    for (command, expected) in commands {
        let line = command.replace("localhost:7475", &sidecar.url("").replace("http://", ""));
        // A busy machine takes longer than a reader would wait.
        let line = line.replace("phase --to", "phase --timeout 5m --to");
        // Supabase answers meanwhile, in this runtime.
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &line]).env("PATH", &path);
        let output = shell.current_dir(folder).output().await.unwrap();
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
