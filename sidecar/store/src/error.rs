//! What can go wrong between a caller and the strand on disk.

use std::io;
use std::path::{Path, PathBuf};

use boboyka_strand::{ChainError, Seq};
use boboyka_tlog::proof::ProofError;

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the folder open.
    #[error("the data folder {} is in use by process {pid}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it open, as the lock file says.
        pid: String,
    },
    /// A file or folder could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done: "create", "read", …
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A restore into the folder did not finish: what is there is a part of a strand.
    #[error(
        "a restore into the data folder {} did not finish: empty the folder and restore again", path.display()
    )]
    Unrestored {
        /// The folder.
        path: PathBuf,
    },
    /// The tail could not be opened, not even after what was damaged was quarantined.
    #[error("could not open the tail in {}", path.display())]
    Tail {
        /// The tail's folder.
        path: PathBuf,
        /// Why not.
        source: TailError,
    },
}

impl OpenError {
    /// The same, of a folder that another one is a copy of.
    pub(crate) fn in_folder(mut self, copy: &Path, folder: &Path) -> Self {
        let (Self::InUse { path, .. }
        | Self::Io { path, .. }
        | Self::Unrestored { path }
        | Self::Tail { path, .. }) = &mut self;
        if let Ok(below) = path.strip_prefix(copy) {
            *path = folder.join(below);
        }
        self
    }
}

/// What sled, or the sync of its file, answers when it fails.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// sled's own error.
    #[error("the tail's engine failed")]
    Engine(#[from] sled::Error),
    /// sled panicked, which it does on some kinds of damage.
    #[error("the tail's engine panicked: {0}")]
    Panicked(String),
    /// It failed before, and lacks changes since then.
    #[error("the tail's engine failed and is not used until the next start: {0}")]
    Behind(String),
    /// The file could not be synced.
    #[error("the tail's file could not be synced")]
    Sync(#[source] io::Error),
    /// What was acknowledged could not be noted.
    #[error("could not write the last acknowledged head")]
    Witness(#[source] io::Error),
    /// The journal could not be written or synced.
    #[error("the journal could not be written")]
    Journal(#[source] io::Error),
    /// A value that the store wrote can't be read.
    #[error("the tail's {what} can't be read: {why}")]
    Value {
        /// Which value.
        what: &'static str,
        /// Why not.
        why: String,
    },
}

impl TailError {
    /// Whether the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        let (Self::Engine(sled::Error::Io(error)) | Self::Sync(error) | Self::Journal(error)) =
            self
        else {
            return false;
        };
        error.kind() == io::ErrorKind::StorageFull
    }
}

/// Why a value's bytes mean nothing.
#[derive(Debug, thiserror::Error)]
#[error("the stored {what} can't be read: {why}")]
pub(crate) struct Unreadable {
    pub(crate) what: &'static str,
    pub(crate) why: String,
}

impl From<Unreadable> for TailError {
    fn from(Unreadable { what, why }: Unreadable) -> Self {
        Self::Value { what, why }
    }
}

/// Why nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Too much waits already.
    #[error("too many records wait to be written")]
    QueueFull,
    /// The disk is nearly full.
    #[error("the disk is full: {free_bytes} bytes are free, {min_free_bytes} are kept free")]
    DiskFull {
        /// What is free.
        free_bytes: u64,
        /// What the store keeps free.
        min_free_bytes: u64,
    },
    /// The same, and a legal hold keeps retention from making room.
    #[error(
        "the disk is full: {free_bytes} bytes are free, {min_free_bytes} are kept free; a legal hold (spec.retention.hold) keeps \
         every record, so retention makes no room: enlarge the volume"
    )]
    DiskFullOnHold {
        /// What is free.
        free_bytes: u64,
        /// What the store keeps free.
        min_free_bytes: u64,
    },
    /// The tail is several times as long as it should be, because sealing keeps failing.
    #[error("the older records can't be moved into a segment: see the log for the reason")]
    TailFull,
    /// A write or a sync failed before: what the disk holds is no longer known.
    #[error("the store stopped after a failed write")]
    Poisoned,
    /// The store is closing.
    #[error("the store is closing")]
    Closed,
}

/// Why a block can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The segment file could not be read.
    #[error("could not read the segment {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The strand is damaged there.
    #[error("the strand is damaged between seq {first} and {last}")]
    Damaged {
        /// First seq of what can't be read.
        first: Seq,
        /// Last seq of it.
        last: Seq,
        /// Where the chain breaks, and how.
        source: ChainError,
    },
    /// It was acknowledged, and the disk has lost it.
    #[error(
        "the strand has lost the records {first} to {last}, which were acknowledged, and went on above them"
    )]
    Lost {
        /// The first lost record.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// No block has this hash, but some were lost, and nothing is left that tells whether one of them had it.
    #[error(
        "no record that is held has this hash; acknowledged records from seq {first} to {last} were lost, {lost} in all, \
         and it may be one of them"
    )]
    PerhapsLost {
        /// How many were lost.
        lost: u64,
        /// The first lost record.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// The version files of a part of the strand are still being made.
    #[error(
        "the versions between seq {first} and {last} are still being gathered from the segments; try again soon"
    )]
    NotReady {
        /// The first seq of the part.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// Retention took it.
    #[error("the record was pruned: the strand begins after seq {floor}")]
    Pruned {
        /// The newest pruned record.
        floor: Seq,
    },
    /// The tail's engine failed.
    #[error("could not read the tail")]
    Tail(#[from] TailError),
}

/// Why the transparency log does not answer.
#[derive(Debug, thiserror::Error)]
pub enum TlogError {
    /// Its tree can't be had.
    #[error("the transparency log can't be had: {0}")]
    Unavailable(String),
    /// Nothing is signed yet.
    #[error(
        "the transparency log has not begun: the sidecar does not know yet whose volume it runs on; try again later"
    )]
    NotBegun,
    /// The tree does not reach that far.
    #[error("the transparency log has {size} entries")]
    Absent {
        /// How many entries it has.
        size: u64,
    },
    /// No checkpoint covers the record yet.
    #[error(
        "the last signed checkpoint covers {size} records, and this is record {seq}: ask a running sidecar, which signs one"
    )]
    Unsigned {
        /// The record.
        seq: Seq,
        /// Size of the tree that was signed last.
        size: u64,
    },
    /// The entries were pruned.
    #[error("the transparency log's entries below index {minimum} may be pruned, and these are")]
    Pruned {
        /// The minimum index.
        minimum: u64,
    },
    /// There is no such proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The blocks below can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nothing can be appended.
    #[error(transparent)]
    Append(#[from] WriteError),
    /// A file of the transparency log could not be read or written.
    #[error("could not read or write a file of the transparency log")]
    File(#[source] io::Error),
    /// The checkpoint could not be written, so nobody sees it.
    #[error("could not write a checkpoint of the transparency log")]
    Write(#[source] io::Error),
    /// The key could not be read or written.
    #[error("could not read or write the key file {}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key, or the origin, is none.
    #[error("{0}")]
    Key(String),
}

/// An error with all its causes, for a log.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.extend([": ", &error.to_string()]);
        cause = error.source();
    }
    text
}
