//! One process per data folder: a lock file, which names its holder for a second process and tells the holder whether
//! the folder is still where it was.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The lock, held until it is dropped. The kernel lets go of it when the process dies, however.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks a data folder.
    pub(crate) fn take(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join("LOCK");
        let failed = |source| OpenError::Io {
            doing: "lock",
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        try_lock(&mut file, folder)?;
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        write!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { file, path })
    }
}

impl Lock {
    /// What became of the file while it was held, if its path no longer leads to it. Files that were unlinked take writes
    /// and syncs as ever, and nothing of them is there after a restart. A disk that does not answer is no change.
    pub(crate) fn moved(&self) -> Option<&'static str> {
        let held = self.file.metadata().ok()?;
        moved(&held, &fs::metadata(&self.path))
    }

    /// Asks whether a data folder is there and free, and leaves it as it is.
    pub(crate) fn look(folder: &Path) -> Result<(), OpenError> {
        let path = folder.join("LOCK");
        let mut file = File::open(&path).map_err(|source| OpenError::Io {
            doing: "open",
            path,
            source,
        })?;
        try_lock(&mut file, folder)
    }
}

/// The file is held open, so that no other file has its number.
fn moved(held: &Metadata, there: &io::Result<Metadata>) -> Option<&'static str> {
    match there {
        Ok(there) => {
            ((held.dev(), held.ino()) != (there.dev(), there.ino())).then_some("was replaced")
        }
        Err(error) => matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::StaleNetworkFileHandle
        )
        .then_some("was deleted"),
    }
}

fn try_lock(file: &mut File, folder: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The holder may be between locking and writing its number.
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let pid = if known {
                pid.trim().to_owned()
            } else {
                "(unknown)".to_owned()
            };
            Err(OpenError::InUse {
                path: folder.to_owned(),
                pid,
            })
        }
        Err(TryLockError::Error(source)) => Err(OpenError::Io {
            doing: "lock",
            path: folder.join("LOCK"),
            source,
        }),
    }
}
