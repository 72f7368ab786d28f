//! The recorder of the torture, preloaded into a process of a test: it kills that process at an exact place, and turns its wall
//! clock.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

/// Compiles the recorder.
///
/// # Errors
/// There is no C compiler, or the recorder does not compile.
pub fn compile(library: &Path) -> anyhow::Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/torture/shim/shim.c");
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(library)
        .args([source, "-lpthread"])
        .status()
        .context("run cc; `make toolchain` installs it")?;
    ensure!(compiled.success(), "{source} does not compile");
    Ok(())
}

/// The recorder, compiled, and how a process gets it.
#[derive(Debug)]
pub struct Preload {
    folder: TempDir,
    ahead: AtomicI64,
}

impl Preload {
    /// Compiles it. The wall clock is right at first.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Postgres is another user.
        let for_all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), for_all).unwrap();
        let preload = Self {
            folder,
            ahead: AtomicI64::new(0),
        };
        compile(&preload.library()).unwrap();
        File::create(preload.clock()).unwrap();
        preload.turn(0);
        preload
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("shim.so")
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Turns the wall clock of all processes that have it, by seconds.
    pub fn turn(&self, seconds: i64) {
        let ahead = self.ahead.fetch_add(seconds, Ordering::Relaxed) + seconds;
        let file = File::options().write(true).open(self.clock()).unwrap();
        // Always as long, so that no reader finds a part of it.
        let text = format!("{ahead:>20}");
        file.write_all_at(text.as_bytes(), 0).unwrap();
    }

    /// The variables of a process whose wall clock is to be turned.
    pub fn clocked(&self) -> Vec<(String, String)> {
        self.variables([("TORTURE_CLOCK_FILE", self.clock().display().to_string())])
    }

    /// The variables of a sidecar that is killed when it writes a text into the journal of its data folder, once the kill is
    /// armed: before it writes or, if `later` is not 0, before the operation of that number after it. What is written, synced or
    /// sent is an operation.
    pub fn killed(&self, data: &Path, text: &str, later: u64) -> Vec<(String, String)> {
        let _ = std::fs::remove_file(self.armed());
        self.variables([
            ("TORTURE_ROOT", data.display().to_string()),
            ("TORTURE_KILL_ARMED", self.armed().display().to_string()),
            ("TORTURE_KILL_FILE", ".journal".to_owned()),
            ("TORTURE_KILL_TEXT", text.to_owned()),
            ("TORTURE_KILL_LATER", later.to_string()),
        ])
    }

    /// Arms the kill: a start may write the text of earlier records again.
    pub fn arm(&self) {
        File::create(self.armed()).unwrap();
    }

    fn armed(&self) -> PathBuf {
        self.folder.path().join("armed")
    }

    fn variables<const N: usize>(&self, more: [(&str, String); N]) -> Vec<(String, String)> {
        let library = ("LD_PRELOAD", self.library().display().to_string());
        let all = [library].into_iter().chain(more);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Default for Preload {
    fn default() -> Self {
        Self::new()
    }
}
