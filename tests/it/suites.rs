//! `tests/run.sh`, which runs all test programs, on programs that do what programs of tests do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use boboyka_tests::process::{GUARD, Process, wait_until};

/// Two programs of a workspace; the second hangs in one of its tests.
const ENDS: &str = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
const HANGS: &str = "echo $$ >pid
echo 'test one::is_slow has been running for over 60 seconds'
echo 'test one::hangs has been running for over 60 seconds'
echo 'test one::is_slow ... ok'
sleep 86400 & wait";

fn script(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A workspace with both programs, and with a cargo that has built them.
fn workspace(root: &Path) {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/run.sh");
    fs::create_dir_all(root.join("tests")).unwrap();
    fs::copy(own, root.join("tests/run.sh")).unwrap();
    script(&root.join("tests/python.sh"), "echo '1 passed in 0.1s'");
    script(&root.join("tests/cluster/ends"), ENDS);
    script(&root.join("tests/it/hangs"), HANGS);
    let built = ["tests/cluster/ends", "tests/it/hangs"].map(|program| {
        let program = root.join(program);
        let manifest = program.with_file_name("Cargo.toml");
        // Cargo writes the members in this order.
        format!(
            r#"{{"manifest_path":"{}","profile":{{"test":true}},"executable":"{}"}}"#,
            manifest.display(),
            program.display()
        )
    });
    let built = built.join("\n");
    let cargo = format!("[ \"$3\" != --no-run ] || cat <<END\n{built}\nEND\n{ENDS}");
    script(&root.join("bin/cargo"), &cargo);
}

/// A run of it, which ends a suite after this silence.
fn run(root: &Path, silence_seconds: &str) -> Process {
    let path = std::env::var("PATH").unwrap();
    let mut run = Command::new("bash");
    run.arg(root.join("tests/run.sh"))
        .env("PATH", format!("{}:{path}", root.join("bin").display()))
        .env("SILENCE_SECONDS", silence_seconds);
    // A log of its own: its sums are none of this run.
    Process::start(&mut run, &root.join("log"))
}

fn is_there(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

#[test]
fn a_suite_that_hangs_is_ended_and_named_with_the_test_that_hung() {
    let folder = tempfile::Builder::new()
        .prefix("a folder")
        .tempdir()
        .unwrap();
    workspace(folder.path());
    let mut run = run(folder.path(), "10");
    let ended_well = run.wait(GUARD);
    let printed = run.log();
    assert!(!ended_well, "{printed}");
    assert!(
        printed.contains("Tests without an end: one::hangs\n"),
        "{printed}"
    );
    assert!(
        printed.contains("\nrun.sh: failed: it-hangs (hung)\n"),
        "{printed}"
    );
    assert!(printed.ends_with("\n7 passed, 0 failed\n"), "{printed}");
    let pid = fs::read_to_string(folder.path().join("tests/it/pid")).unwrap();
    assert!(!is_there(&pid));
}

#[tokio::test]
async fn a_run_that_is_interrupted_ends_its_suites() {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path());
    let file = folder.path().join("tests/it/pid");
    let mut run = run(folder.path(), "1800");
    let pid = || fs::read_to_string(&file).unwrap_or_default();
    let begun = || async { pid().ends_with('\n') };
    wait_until(GUARD, begun, || "no suite began".to_owned()).await;
    run.signal("TERM");
    assert!(!run.wait(GUARD));
    assert!(!is_there(&pid()));
}
