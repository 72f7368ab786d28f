//! The programs that a torture works with, and its folder.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The programs that a torture works with, and its folder.
#[derive(Debug)]
pub struct Tools {
    /// The program that works on a store by steps.
    pub driver: PathBuf,
    /// The sidecar.
    pub sidecar: PathBuf,
    /// The recorder, to be preloaded.
    pub shim: PathBuf,
    /// Where failing states are kept.
    pub kept: PathBuf,
    work: TempDir,
}

impl Tools {
    /// Compiles the recorder. The work folder is in memory where that is possible.
    ///
    /// # Errors
    /// There is no C compiler, or the recorder does not compile.
    pub fn new(driver: PathBuf) -> anyhow::Result<Self> {
        let memory = Path::new("/dev/shm");
        let work = if memory.is_dir() {
            tempfile::tempdir_in(memory)?
        } else {
            tempfile::tempdir()?
        };
        let shim = work.path().join("shim.so");
        boboyka_tests::preload::compile(&shim)?;
        Ok(Self {
            kept: driver
                .parent()
                .unwrap_or(Path::new("."))
                .join("torture-failed"),
            sidecar: boboyka_tests::sidecar::binary(),
            driver,
            shim,
            work,
        })
    }

    /// A folder or file of this name in the work folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// A new, empty folder of this name in the work folder.
    ///
    /// # Errors
    /// It can't be made.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// Something can't be copied.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, target) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if entry.is_dir() {
            copy(&entry, &target)?;
        } else {
            std::fs::copy(&entry, &target)?;
        }
    }
    Ok(())
}
