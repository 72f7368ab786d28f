//! The ground stays ground: what the strand depends on, and who depends on sled.

use std::process::Command;

/// Normal dependencies of a package, at any depth.
fn tree(package: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "tree",
        "-p",
        package,
        "-e",
        "normal",
        "--prefix",
        "none",
        "--offline",
    ]);
    let output = command.current_dir(root).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_strand_knows_no_runtime_no_client_and_no_engine() {
    let tree = tree("boboyka-strand");
    assert!(
        tree.lines().any(|line| line.starts_with("blake3 ")),
        "{tree}"
    );
    for foreign in ["tokio", "axum", "hyper", "reqwest", "kube", "sled"] {
        let found = tree
            .lines()
            .any(|line| line.starts_with(&format!("{foreign} ")));
        assert!(!found, "boboyka-strand depends on {foreign}:\n{tree}");
    }
}

#[test]
fn only_the_sidecar_names_sled_and_in_one_file_only() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new("git")
        .args([
            "grep",
            "-lE",
            r"sled::",
            "--",
            "*.rs",
            ":!tests/it/purity.rs",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    let files = String::from_utf8(output.stdout).unwrap();
    let allowed = ["sidecar/src/store/tail.rs", "sidecar/src/store/error.rs"];
    assert!(files.lines().all(|file| allowed.contains(&file)), "{files}");
    assert!(
        !files.is_empty(),
        "git grep found nothing: the test has lost its subject"
    );
}

#[test]
fn the_resources_know_no_runtime_and_no_client() {
    let tree = tree("boboyka-crds");
    assert!(tree.lines().any(|line| line.starts_with("kube ")), "{tree}");
    for foreign in ["tokio", "axum", "hyper", "reqwest", "kube-client", "sled"] {
        let found = tree
            .lines()
            .any(|line| line.starts_with(&format!("{foreign} ")));
        assert!(!found, "boboyka-crds depends on {foreign}:\n{tree}");
    }
}
