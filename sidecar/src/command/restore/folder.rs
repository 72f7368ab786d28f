//! The data folder of a restore: empty before, whole after, and nothing in between that a sidecar would open.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use boboyka_store::UNFINISHED_RESTORE;

use super::error::RestoreError;

/// What a new file system has of its own.
const LOST_AND_FOUND: &str = "lost+found";

/// The folder in which a strand is rebuilt; what it holds goes when it is dropped before anything has left it.
pub(super) struct Folder {
    data_dir: PathBuf,
    work: PathBuf,
    /// Whether parts may lie beside it: then it stays, and keeps sidecars away from them.
    leaving: bool,
}

impl Folder {
    /// Makes it within a data folder, which must be empty or missing.
    pub(super) fn make(data_dir: &Path) -> Result<Self, RestoreError> {
        let failed = |error| failed("make", data_dir, &error);
        fs::create_dir_all(data_dir).map_err(failed)?;
        for entry in fs::read_dir(data_dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != LOST_AND_FOUND {
                return Err(RestoreError::Folder(format!(
                    "the data folder {} is not empty: it has {}. Name an empty one, or move what is there away",
                    data_dir.display(),
                    name.to_string_lossy()
                )));
            }
        }
        let work = data_dir.join(UNFINISHED_RESTORE);
        fs::create_dir_all(work.join("segments")).map_err(failed)?;
        sync(data_dir)?;
        Ok(Self {
            data_dir: data_dir.to_owned(),
            work,
            leaving: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.work
    }

    pub(super) fn segments(&self) -> PathBuf {
        self.work.join("segments")
    }

    /// Moves what was rebuilt to its place. Until the last step, the folder that is left keeps sidecars away.
    pub(super) fn finish(mut self) -> Result<(), RestoreError> {
        self.leaving = true;
        let moved = |error| failed("fill", &self.data_dir, &error);
        for entry in fs::read_dir(&self.work).map_err(moved)? {
            let entry = entry.map_err(moved)?;
            let target = self.data_dir.join(entry.file_name());
            fs::rename(entry.path(), target).map_err(moved)?;
        }
        sync(&self.data_dir)?;
        fs::remove_dir(&self.work).map_err(moved)?;
        sync(&self.data_dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.leaving
            && let Err(error) = fs::remove_dir_all(&self.work)
        {
            let folder = self.work.display().to_string();
            let error = error.to_string();
            tracing::warn!(folder, error, "could not remove {folder}: {error}");
        }
    }
}

fn sync(folder: &Path) -> Result<(), RestoreError> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(|error| failed("sync", folder, &error))
}

pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> RestoreError {
    RestoreError::Folder(format!("could not {doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use boboyka_store::UNFINISHED_RESTORE;

    use super::Folder;

    #[test]
    fn a_part_of_a_strand_that_could_not_be_moved_whole_is_never_left_without_its_mark() {
        let data_dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(data_dir.path()).unwrap();
        fs::write(folder.path().join("ledger-0"), "x").unwrap();
        fs::write(folder.segments().join("1.seg"), "x").unwrap();
        // In the way of what comes out.
        fs::create_dir_all(data_dir.path().join("segments/other")).unwrap();
        assert!(folder.finish().is_err());
        assert!(data_dir.path().join(UNFINISHED_RESTORE).exists());
    }

    #[test]
    fn what_was_not_finished_goes_and_what_was_is_whole() {
        let data_dir = tempfile::tempdir().unwrap();
        drop(Folder::make(data_dir.path()).unwrap());
        assert_eq!(fs::read_dir(data_dir.path()).unwrap().count(), 0);
        Folder::make(data_dir.path()).unwrap().finish().unwrap();
        assert!(data_dir.path().join("segments").exists());
        assert!(!data_dir.path().join(UNFINISHED_RESTORE).exists());
    }
}
