//! The ground stays ground: what each crate depends on, and who depends on sled.

use std::process::Command;

/// Normal dependencies of a package, down to a depth.
fn tree(package: &str, depth: u32) -> String {
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
        "--depth",
        &depth.to_string(),
    ]);
    let output = command.current_dir(root).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Fails unless the package depends on `own` and on nothing `foreign`, down to a depth.
#[track_caller]
fn check(package: &str, depth: u32, own: &str, foreign: &[&str]) {
    let tree = tree(package, depth);
    let has = |name: &str| {
        tree.lines()
            .any(|line| line.starts_with(&format!("{name} ")))
    };
    assert!(has(own), "{package} lost its subject {own}:\n{tree}");
    for name in foreign {
        assert!(!has(name), "{package} depends on {name}:\n{tree}");
    }
}

/// Deeper than any dependency.
const ALL: u32 = 1_000;

#[test]
fn the_strand_knows_no_runtime_no_client_and_no_engine() {
    let foreign = ["tokio", "axum", "hyper", "reqwest", "kube", "sled"];
    check("boboyka-strand", ALL, "blake3", &foreign);
}

#[test]
fn the_formats_of_logs_know_no_strand_no_runtime_and_no_client() {
    let foreign = [
        "tokio",
        "hyper",
        "reqwest",
        "kube",
        "sled",
        "serde",
        "boboyka-strand",
    ];
    check("boboyka-tlog", ALL, "sha2", &foreign);
}

#[test]
fn the_store_knows_no_http_no_client_and_no_runtime() {
    let foreign = [
        "axum",
        "hyper",
        "reqwest",
        "kube-client",
        "kube-runtime",
        "mio",
    ];
    check("boboyka-store", ALL, "sled", &foreign);
    check("boboyka-store", 1, "sled", &["kube", "k8s-openapi"]);
}

#[test]
fn the_store_asks_tokio_for_channels_and_nothing_else() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let manifest = std::fs::read_to_string(format!("{root}/sidecar/store/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    let tokio = dependencies.lines().find(|line| line.starts_with("tokio"));
    let expected = r#"tokio = { version = "1", default-features = false, features = ["sync"] }"#;
    assert_eq!(tokio, Some(expected));
}

#[test]
fn the_mirror_knows_no_server_no_cluster_and_no_engine() {
    check(
        "boboyka-mirror",
        ALL,
        "reqwest",
        &["axum", "kube-client", "kube-runtime"],
    );
    check(
        "boboyka-mirror",
        1,
        "boboyka-store",
        &["kube", "sled", "boboyka-crds", "boboyka-sidecar"],
    );
}

#[test]
fn what_asks_witnesses_knows_no_store_and_no_server() {
    let foreign = ["axum", "kube", "boboyka-store", "boboyka-strand"];
    check("boboyka-cosigning", 1, "boboyka-tlog", &foreign);
}

#[test]
fn what_archives_knows_no_store_and_no_server_and_brings_no_second_tls() {
    let foreign = ["axum", "kube", "boboyka-store", "boboyka-strand"];
    check("boboyka-archive", 1, "object_store", &foreign);
    let foreign = ["aws-lc-rs", "native-tls", "openssl-sys"];
    check("boboyka-archive", ALL, "ring", &foreign);
    check("boboyka-sidecar", 1, "boboyka-archive", &["object_store"]);
}

#[test]
fn what_sends_traces_knows_no_product_and_brings_no_second_client_and_no_second_tls() {
    let foreign = ["axum", "kube", "boboyka-crds", "boboyka-store"];
    check("boboyka-otlp", 1, "opentelemetry", &foreign);
    for package in ["boboyka-sidecar", "boboyka-operator"] {
        let foreign = ["tonic", "aws-lc-rs", "native-tls", "openssl-sys"];
        check(package, ALL, "opentelemetry", &foreign);
        check(
            package,
            1,
            "boboyka-otlp",
            &["opentelemetry", "opentelemetry_sdk"],
        );
    }
}

#[test]
fn the_sidecar_leaves_supabase_to_the_mirror_and_the_disk_to_the_store() {
    check(
        "boboyka-sidecar",
        1,
        "axum",
        &["sled", "reqwest", "rmp-serde", "zstd", "lz4_flex"],
    );
}

#[test]
fn only_the_store_names_sled_and_in_two_files_only() {
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
    let allowed = [
        "sidecar/store/src/tail/engine.rs",
        "sidecar/store/src/error.rs",
    ];
    assert!(files.lines().all(|file| allowed.contains(&file)), "{files}");
    assert!(
        !files.is_empty(),
        "git grep found nothing: the test has lost its subject"
    );
}

#[test]
fn the_resources_know_no_runtime_and_no_client() {
    let foreign = ["tokio", "axum", "hyper", "reqwest", "kube-client", "sled"];
    check("boboyka-crds", ALL, "kube", &foreign);
}

/// How often a pattern occurs in the sidecar's own code, by file.
fn occurrences(pattern: &str) -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new("git")
        .args(["grep", "-nE", pattern, "--", "sidecar/*.rs"])
        .args([":!*/tests.rs", ":!*/tests/*"])
        .current_dir(root)
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn every_error_in_the_log_comes_with_its_causes() {
    let bare = occurrences(r"[%?]error\b|[%?]source\b|error = [&%?]|as &dyn (std::error::)?Error");
    assert!(bare.is_empty(), "log causes(&error) instead: {bare:#?}");
    let whole = occurrences(r"causes\(");
    assert!(
        whole.len() > 20,
        "the test has lost its subject: {whole:#?}"
    );
}
