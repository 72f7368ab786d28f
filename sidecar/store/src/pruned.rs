//! What is left of pruned segments: the first bytes of their blocks' hashes, so that the answer to a question
//! for a pruned record says that it was there. Bounded; the oldest goes first.
//!
//! A file for each pruned segment, `pruned/<first seq, 20 digits>.idx`: its hash index as it was. Files are
//! synced before their segment is unlinked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boboyka_strand::{Hash, Seq};

use crate::error::{OpenError, causes};
use crate::files::{self, failed, sync_folder};
use crate::segment::{HASH_ENTRY_LEN, Segment};

/// What all files together take at most.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// What they take at most of a strand that is kept small: this part of its size, …
const MAX_PART: u64 = 16;
/// … but not less than this.
const MAX_BYTES_LEAST: u64 = 64 * 1024;

const EXTENSION: &str = "idx";

/// The pruned segments' indexes of one data folder.
#[derive(Clone, Debug)]
pub(crate) struct PrunedIndex {
    folder: PathBuf,
}

/// How many bytes the index may take when the strand may take this many.
pub(crate) fn budget(max_size_bytes: Option<u64>) -> u64 {
    max_size_bytes.map_or(MAX_BYTES, |size| {
        (size / MAX_PART).clamp(MAX_BYTES_LEAST, MAX_BYTES)
    })
}

impl PrunedIndex {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("pruned"),
        }
    }

    /// Keeps what is to be kept of a segment below the floor, and unlinks it; what that gave back. The
    /// folders are synced by [`PrunedIndex::finish`].
    pub(crate) fn retire(&self, path: &Path) -> Result<u64, OpenError> {
        // An index that can't be kept makes a later answer less telling; the disk is given back all
        // the same.
        if let Err(error) = self.keep(path) {
            let (error, file) = (causes(&error), path.display().to_string());
            tracing::warn!(
                error,
                file,
                "could not keep the hash index of the pruned segment {file}"
            );
        }
        let bytes = fs::metadata(path).map_or(0, |file| file.len());
        match fs::remove_file(path) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed("remove", path)(error)),
        }
    }

    fn keep(&self, path: &Path) -> io::Result<()> {
        let segment = Segment::discover(path)?;
        let entries = segment.read_hash_index()?;
        fs::create_dir_all(&self.folder)?;
        files::replace(&self.file_of(segment.meta.first_seq()), &entries)
    }

    /// Makes what was retired durable, and the index fit into its budget.
    pub(crate) fn finish(&self, segments_folder: &Path, budget: u64) -> Result<(), OpenError> {
        sync_folder(segments_folder)?;
        if !self.folder.exists() {
            return Ok(());
        }
        let mut kept = 0;
        for (_, path) in self.files().into_iter().rev() {
            kept += fs::metadata(&path).map_or(0, |file| file.len());
            if kept > budget {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        sync_folder(&self.folder)
    }

    /// The seq of a pruned block whose hash begins like this one, as far as that is remembered.
    pub(crate) fn find(&self, hash: &Hash) -> Option<Seq> {
        let prefix = hash.prefix().to_be_bytes();
        self.files().into_iter().rev().find_map(|(first, path)| {
            let bytes = fs::read(path).ok()?;
            let (entries, _) = bytes.as_chunks::<HASH_ENTRY_LEN>();
            let at = entries.partition_point(|entry| entry.as_slice() < prefix.as_slice());
            let entry = entries.get(at).filter(|entry| entry.starts_with(&prefix))?;
            let position = entry
                .last_chunk()
                .map_or(0, |bytes| u16::from_be_bytes(*bytes));
            Some(first + u64::from(position))
        })
    }

    /// The files by their first seq, oldest first.
    fn files(&self) -> Vec<(Seq, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let is_index = path.extension().is_some_and(|end| end == EXTENSION);
                let first = path.file_stem()?.to_str()?.parse().ok()?;
                is_index.then_some((first, path))
            })
            .collect();
        files.sort_unstable();
        files
    }

    fn file_of(&self, first_seq: Seq) -> PathBuf {
        self.folder.join(format!("{first_seq:020}.{EXTENSION}"))
    }
}
