//! Quarantine: damaged files are moved into a folder of their own with a note, never deleted, and reported until
//! an operator has removed the folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::OpenError;
use crate::files::{failed, sync_folder};

/// A folder in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The folder under the data folder where it lies.
    pub folder: String,
    /// What it holds and why it was quarantined.
    pub reason: String,
}

/// The quarantine of one data folder.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    folder: PathBuf,
}

const REASON: &str = "REASON.txt";

impl Quarantine {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("quarantine"),
        }
    }

    /// Moves files or folders aside; those that are gone already are skipped.
    pub(crate) fn take(&self, paths: &[PathBuf], reason: &str) -> Result<(), OpenError> {
        let folder = self.make_folder(reason)?;
        for path in paths {
            let Some(name) = path.file_name() else {
                continue;
            };
            match fs::rename(path, folder.join(name)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("quarantine", path)(source)),
            }
        }
        sync_folder(&folder)
    }

    /// Keeps bytes that are about to leave the tail.
    pub(crate) fn keep(&self, files: &[(String, Vec<u8>)], reason: &str) -> Result<(), OpenError> {
        let folder = self.make_folder(reason)?;
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(failed("write", &path))?;
            let file = fs::File::open(&path).map_err(failed("open", &path))?;
            file.sync_all().map_err(failed("sync", &path))?;
        }
        sync_folder(&folder)
    }

    /// All that lies in quarantine, oldest first.
    pub(crate) fn list(&self) -> Vec<Quarantined> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut found: Vec<Quarantined> = entries
            .flatten()
            .map(|entry| Quarantined {
                folder: format!("quarantine/{}", entry.file_name().to_string_lossy()),
                reason: fs::read_to_string(entry.path().join(REASON)).map_or_else(
                    |_| "(no reason was recorded)".to_owned(),
                    |r| r.trim().to_owned(),
                ),
            })
            .collect();
        found.sort_by(|a, b| a.folder.cmp(&b.folder));
        found
    }

    fn make_folder(&self, reason: &str) -> Result<PathBuf, OpenError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let folder = self.folder.join(format!("{:020}", now.as_nanos()));
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        let note = folder.join(REASON);
        fs::write(&note, format!("{reason}\n")).map_err(failed("write", &note))?;
        sync_folder(&self.folder)?;
        let shown = folder.display().to_string();
        tracing::error!(
            folder = shown,
            reason,
            "the store quarantined {reason}: see {shown}"
        );
        Ok(folder)
    }
}

/// What lies in a data folder's quarantine, oldest first.
pub fn quarantined_in(data_dir: &Path) -> Vec<Quarantined> {
    Quarantine::of(data_dir).list()
}
