//! How a store is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; created when it is missing.
    pub data_dir: PathBuf,
    /// Appends are refused while the disk has less free than this.
    pub min_free_bytes: u64,
    /// Blocks in the tail after which its older part is sealed.
    pub seal_blocks: usize,
    /// Bytes in the tail after which its older part is sealed.
    pub seal_bytes: usize,
    /// Length of a file of the journal.
    pub journal_file_bytes: u64,
    /// What the scrub reads in a second at most, unless the strand is too long for that.
    pub scrub_bytes_per_second: u64,
    /// The scrub begins anew after this time.
    pub scrub_every: Duration,
    /// The folder has segments alone, as a restore has fetched them: that everything else is missing is no damage.
    pub from_segments: bool,
}

impl Options {
    /// The defaults, for a data folder.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            // Room to seal a segment and to prune, which frees the disk again.
            min_free_bytes: 64 * 1024 * 1024,
            // Large enough that ten million records are hundreds of files, small enough that the
            // tail takes a few megabytes of memory and no time to open.
            seal_blocks: 16 * 1024,
            seal_bytes: 8 * 1024 * 1024,
            // As much as the tail may hold: some two or three files are in use.
            journal_file_bytes: 8 * 1024 * 1024,
            scrub_bytes_per_second: 1024 * 1024,
            scrub_every: Duration::from_hours(24),
            from_segments: false,
        }
    }
}
