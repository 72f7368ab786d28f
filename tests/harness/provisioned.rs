//! Where the programs are that `provision.sh` has installed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Names and paths of what Supabase consists of.
pub(crate) fn tools() -> &'static HashMap<String, String> {
    static TOOLS: OnceLock<HashMap<String, String>> = OnceLock::new();
    TOOLS.get_or_init(|| listed("--where"))
}

/// The folder with the programs that check logs.
pub(crate) fn verifiers() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder =
        FOLDER.get_or_init(|| PathBuf::from(&listed("--where-verifiers")["VERIFIERS_BIN"]));
    folder.clone()
}

/// The folder with the object store.
pub(crate) fn objects() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| PathBuf::from(&listed("--where-objects")["OBJECTS_BIN"]));
    folder.clone()
}

fn listed(question: &str) -> HashMap<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/provision.sh");
    let output = Command::new("bash")
        .args([script, question])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
