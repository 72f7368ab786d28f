//! Checking a strand: one that is open, and one that no process has open.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use boboyka_strand::Head;

use super::handle::Store;
use crate::error::{OpenError, causes};
use crate::files::failed;
use crate::options::Options;
use crate::quarantine::quarantined_in;
use crate::verify::{self, Verdict};

impl Store {
    /// Re-hashes every block that was in the strand when the check began, from the floor on. `progress`
    /// is called with the block that the check has reached, and may end it; then the verdict covers what was checked.
    /// Blocking.
    pub fn verify(&self, progress: impl FnMut(Head) -> ControlFlow<()>) -> Verdict {
        verify::verify(&self.shared, progress)
    }
}

/// Checks a strand that no process has open, on a copy of its tail: the data folder is only read.
///
/// # Errors
/// When a process has it open, or it can't be read. A chain that breaks is a verdict, not an error.
pub fn verify_offline(
    data_dir: &Path,
    progress: impl FnMut(Head) -> ControlFlow<()>,
) -> Result<Verdict, OpenError> {
    Store::check_unused(data_dir)?;
    let copy = std::env::temp_dir().join(format!("boboyka-verify-{}", uuid::Uuid::new_v4()));
    let verdict = copy_folder(data_dir, &copy).and_then(|()| {
        let store = Store::open(Options {
            min_free_bytes: 0,
            ..Options::new(&copy)
        })?;
        let before = quarantined_in(data_dir).len();
        let mut verdict = store.verify(progress);
        let fresh = quarantined_in(&copy).into_iter().nth(before);
        if let (true, Some(set_aside)) = (verdict.ok, fresh) {
            verdict.ok = false;
            verdict.broken_seq = Some(verdict.head.seq + 1);
            verdict.reason = Some(set_aside.reason);
        }
        store.close();
        Ok(verdict)
    });
    if let Err(error) = fs::remove_dir_all(&copy) {
        let folder = copy.display().to_string();
        let error = causes(&error);
        tracing::warn!(
            error,
            folder,
            "could not remove the copy of the strand in {folder}"
        );
    }
    verdict
}

/// Copies a data folder; segments, which never change and may be many, are linked where that works.
fn copy_folder(from: &Path, to: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(to).map_err(failed("create", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "seg") {
            std::os::unix::fs::symlink(
                fs::canonicalize(&path).map_err(failed("read", &path))?,
                &target,
            )
            .map_err(failed("link", &target))?;
        } else {
            fs::copy(&path, &target).map_err(failed("copy", &path))?;
        }
    }
    Ok(())
}
