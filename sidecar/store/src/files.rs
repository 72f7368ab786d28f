//! Files that a crash leaves whole: written beside their place, synced, then renamed into it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// How the name of a file ends that is not whole yet.
pub(crate) const UNFINISHED: &str = "unfinished";

/// Where a file is written before it gets its name.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(UNFINISHED)
}

/// Syncs a file and gives it its name: after a crash the folder has what it had before, or the whole file.
pub(crate) fn put_in_place(file: &File, unfinished: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    match path.parent() {
        Some(folder) => sync_names(folder),
        None => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Replaces a file, or creates it: after a crash it has the old content or this one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path);
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    put_in_place(&file, &unfinished, path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    sync_names(folder).map_err(failed("sync", folder))
}

/// Creates a folder where it is missing, and makes its name durable.
pub(crate) fn make_folder(folder: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    match folder.parent() {
        // A relative path of one part lies in the working folder.
        Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Wraps an I/O error with what was being done to which path.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io {
        doing,
        path,
        source,
    }
}

/// Has a part of a file read from the disk the next time: what the system's cache holds says nothing of it. That it
/// can't be dropped is no error.
pub(crate) fn forget_cached(file: &File, at: u64, len: usize) {
    let len = std::num::NonZeroU64::new(len as u64);
    let _ = rustix::fs::fadvise(file, at, len, rustix::fs::Advice::DontNeed);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{replace, unfinished};

    #[test]
    fn a_file_is_replaced_whole_and_what_a_crash_left_beside_it_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        fs::write(
            unfinished(&path),
            "left by a crash, and longer than the rest",
        )
        .unwrap();
        for content in ["one", "another"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
