//! Quarantine: damaged files are moved into a folder of their own with a note, never deleted, and reported until
//! an operator has removed the folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boboyka_strand::{Record, RecordError};
use serde_json::json;

use crate::checksum::checksum;
use crate::error::OpenError;
use crate::files::{self, UNFINISHED, failed, make_folder, sync_folder};

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

const FOLDER: &str = "quarantine";
/// Where a tail goes that was made anew.
const TAIL: &str = "tail";
const REASON: &str = "REASON.txt";

impl Quarantine {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
        }
    }

    /// Moves files or folders aside; those that are gone already are skipped.
    pub(crate) fn take(&self, paths: &[PathBuf], reason: &str) -> Result<(), OpenError> {
        let folder = self.folder_for(reason, |_| Ok(()))?;
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

    /// Keeps bytes that are about to leave the strand.
    pub(crate) fn keep(&self, files: &[(String, Vec<u8>)], reason: &str) -> Result<(), OpenError> {
        self.folder_for(reason, |folder| {
            files.iter().try_for_each(|(name, bytes)| {
                let path = folder.join(name);
                fs::write(&path, bytes).map_err(failed("write", &path))?;
                sync_file(&path)
            })
        })
        .map(drop)
    }

    /// Keeps copies of files that are about to be changed.
    pub(crate) fn copy(&self, paths: &[PathBuf], reason: &str) -> Result<(), OpenError> {
        self.folder_for(reason, |folder| {
            let named = paths
                .iter()
                .filter_map(|path| Some((path, path.file_name()?)));
            named.into_iter().try_for_each(|(path, name)| {
                let copy = folder.join(name);
                fs::copy(path, &copy).map_err(failed("copy", path))?;
                sync_file(&copy)
            })
        })
        .map(drop)
    }

    /// Moves a tail aside that is made anew from ledger and journal, in the place of the last such one. It is no damage
    /// of the strand, so it is not listed.
    pub(crate) fn set_tail_aside(&self, tail: &Path) -> Result<(), OpenError> {
        make_folder(&self.folder)?;
        let aside = self.folder.join(TAIL);
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &aside)(error));
            }
            _ => {}
        }
        fs::rename(tail, &aside).map_err(failed("quarantine", tail))
    }

    /// All that lies in quarantine, oldest first.
    pub(crate) fn list(&self) -> Vec<Quarantined> {
        let found = self.names().into_iter().map(|name| Quarantined {
            reason: fs::read_to_string(self.folder.join(&name).join(REASON)).map_or_else(
                |_| "(no reason was recorded)".to_owned(),
                |reason| reason.trim().to_owned(),
            ),
            folder: format!("{FOLDER}/{name}"),
        });
        found.collect()
    }

    /// The folders' names, oldest first.
    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let whole = |name: &String| {
            !name.ends_with(UNFINISHED) && name.starts_with(|first: char| first.is_ascii_digit())
        };
        let mut names: Vec<_> = names.filter(whole).collect();
        names.sort();
        names
    }

    /// The folder for what is quarantined for this reason; `fill` fills a new one. It is known by the reason and not by
    /// the time: what a start was killed over is found again by the next one.
    fn folder_for(
        &self,
        reason: &str,
        fill: impl FnOnce(&Path) -> Result<(), OpenError>,
    ) -> Result<PathBuf, OpenError> {
        let names = self.names();
        let [a, b, c, d] = checksum(reason.as_bytes());
        let mark = format!("-{a:02x}{b:02x}{c:02x}{d:02x}");
        if let Some(name) = names.iter().find(|name| name.ends_with(&mark)) {
            return Ok(self.folder.join(name));
        }
        let newest = names.last().map_or(0, |name| number_of(name));
        let folder = self.folder.join(format!("{:020}{mark}", newest + 1));
        let unfinished = files::unfinished(&folder);
        make_folder(&self.folder)?;
        fs::create_dir_all(&unfinished).map_err(failed("create", &unfinished))?;
        fill(&unfinished)?;
        let note = unfinished.join(REASON);
        fs::write(&note, format!("{reason}\n")).map_err(failed("write", &note))?;
        sync_file(&note)?;
        sync_folder(&unfinished)?;
        fs::rename(&unfinished, &folder).map_err(failed("create", &folder))?;
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

/// The strand's own record of what lies in quarantine.
pub(crate) fn record(found: &Quarantined) -> Result<Record, RecordError> {
    let metadata = json!({"folder": found.folder, "reason": found.reason});
    Record::own("strand_quarantined", &metadata)
}

fn sync_file(path: &Path) -> Result<(), OpenError> {
    let file = fs::File::open(path).map_err(failed("open", path))?;
    file.sync_all().map_err(failed("sync", path))
}

/// The number that a folder's name begins with.
fn number_of(name: &str) -> u64 {
    let digits = name.split('-').next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// What lies in a data folder's quarantine, oldest first.
pub fn quarantined_in(data_dir: &Path) -> Vec<Quarantined> {
    Quarantine::of(data_dir).list()
}
