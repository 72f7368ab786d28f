//! `tests/run.sh`, which runs all test programs, on programs that do what programs of tests do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use boboyka_tests::process::{GUARD, Process, wait_until};

/// A program of a workspace, and one that hangs in one of its tests.
const ENDS: &str = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
const HANGS: &str = "echo $$ >pid
echo 'test one::is_slow has been running for over 60 seconds'
echo 'test one::hangs has been running for over 60 seconds'
echo 'test one::is_slow ... ok'
sleep 86400 & wait";

/// A test that fails beside others and passes alone, and one that always fails.
const FAILS_ONCE: &str = "case $* in
'--exact one::fails_once') echo 'test result: ok. 1 passed; 0 failed; 0 ignored' ;;
*) printf '\nfailures:\n\n---- one::fails_once stdout ----\n    ours\n\nfailures:\n    one::fails_once\n\n'
   echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored'
   exit 101 ;;
esac";
const FAILS: &str = "printf '\nfailures:\n    two::fails\n\n'
echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored'
exit 101";

fn script(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A workspace with two programs, the second of which is given, and with a cargo that has built them.
fn workspace(root: &Path, second: &str) {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/run.sh");
    fs::create_dir_all(root.join("tests")).unwrap();
    fs::copy(own, root.join("tests/run.sh")).unwrap();
    script(&root.join("tests/python.sh"), "echo '1 passed in 0.1s'");
    script(&root.join("tests/cluster/ends"), ENDS);
    script(&root.join("tests/it/second"), second);
    let built = ["tests/cluster/ends", "tests/it/second"].map(|program| {
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

/// A run of it, which ends a suite after this silence and runs at most this number of failed tests once more.
fn run(root: &Path, silence_seconds: &str, flaky_max: &str) -> Process {
    let path = std::env::var("PATH").unwrap();
    let mut run = Command::new("bash");
    run.arg(root.join("tests/run.sh"))
        .env("PATH", format!("{}:{path}", root.join("bin").display()))
        .env("SILENCE_SECONDS", silence_seconds)
        .env("FLAKY_MAX", flaky_max);
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
    workspace(folder.path(), HANGS);
    let mut run = run(folder.path(), "10", "1");
    let ended_well = run.wait(GUARD);
    let printed = run.log();
    assert!(!ended_well, "{printed}");
    assert!(
        printed.contains("Tests without an end: one::hangs\n"),
        "{printed}"
    );
    assert!(
        printed.contains("\nrun.sh: failed: it-second (hung)\n"),
        "{printed}"
    );
    assert!(printed.ends_with("\n7 passed, 0 failed\n"), "{printed}");
    let pid = fs::read_to_string(folder.path().join("tests/it/pid")).unwrap();
    assert!(!is_there(&pid));
}

#[test]
fn few_tests_that_failed_run_once_more_where_that_is_wanted_and_are_named() {
    let flaky = "run.sh: flaky, failed beside others and passed alone: one::fails_once\n";
    for (second, wanted, ends_well, sum) in [
        (FAILS_ONCE, "1", true, "\n10 passed, 0 failed\n"),
        (FAILS_ONCE, "0", false, "\n9 passed, 1 failed\n"),
        (FAILS, "1", false, "\n7 passed, 1 failed\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        workspace(folder.path(), second);
        let mut run = run(folder.path(), "1800", wanted);
        assert_eq!(run.wait(GUARD), ends_well, "{}", run.log());
        let printed = run.log();
        assert_eq!(printed.contains(flaky), ends_well, "{printed}");
        assert!(printed.ends_with(sum), "{printed}");
    }
}

#[tokio::test]
async fn a_run_that_is_interrupted_ends_its_suites() {
    let folder = tempfile::tempdir().unwrap();
    workspace(folder.path(), HANGS);
    let file = folder.path().join("tests/it/pid");
    let mut run = run(folder.path(), "1800", "0");
    let pid = || fs::read_to_string(&file).unwrap_or_default();
    let begun = || async { pid().ends_with('\n') };
    wait_until(GUARD, begun, || "no suite began".to_owned()).await;
    run.signal("TERM");
    assert!(!run.wait(GUARD));
    assert!(!is_there(&pid()));
}
