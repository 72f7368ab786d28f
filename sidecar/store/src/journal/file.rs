//! One file of the journal: its header, how it is made, and how it is used again.
//!
//! The header, numbers big-endian: magic (8 bytes), strand id (16), generation (u64), nonce (u64), and 16 bytes of
//! BLAKE3 over these with the file's key. It lies at 0 and again at 4096; frames begin at 8192. The key is BLAKE3 in
//! derive-key mode over strand id, generation and nonce: what an earlier generation left in the file holds no more.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use boboyka_strand::Seq;
use uuid::Uuid;

use super::frame::{Key, Sum, keyed};
use crate::files;

/// First bytes of a file; the last one is the format's version.
const MAGIC: &[u8; 8] = b"BBKJNL\0\x01";
const KEY_CONTEXT: &str = "boboyka.sapixdb.com 2026-11 journal v1";
const HEADER_LEN: usize = 56;
const SECOND_AT: u64 = 4096;
/// Where the frames begin.
pub(crate) const FRAMES_AT: u64 = 8192;
/// How a file's name ends.
const EXTENSION: &str = "journal";
/// Zeros are written in pieces of this length.
const ZEROS: usize = 256 * 1024;

/// One life of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) strand: Uuid,
    /// Rises with each life of any file of the journal.
    pub(crate) generation: u64,
    /// Two lives never share it, not even when a header was lost.
    pub(crate) nonce: u64,
}

impl Identity {
    /// A new life.
    pub(crate) fn new(strand: Uuid, generation: u64) -> Self {
        let (nonce, _) = Uuid::new_v4().as_u64_pair();
        Self {
            strand,
            generation,
            nonce,
        }
    }

    /// The key of its checksums.
    pub(crate) fn key(&self) -> Key {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        hasher.update(self.strand.as_bytes());
        hasher.update(&self.generation.to_be_bytes());
        hasher.update(&self.nonce.to_be_bytes());
        *hasher.finalize().as_bytes()
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.strand.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.nonce.to_be_bytes());
        let sum: [u8; 16] = keyed(&self.key(), &bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// The header at the beginning of `bytes`; `None` when there is none that holds.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (strand, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (nonce, _) = rest.split_first_chunk()?;
        let found = Self {
            strand: Uuid::from_bytes(*strand),
            generation: u64::from_be_bytes(*generation),
            nonce: u64::from_be_bytes(*nonce),
        };
        bytes.starts_with(&found.header()).then_some(found)
    }
}

/// A file that frames can be written to.
#[derive(Debug)]
pub(crate) struct JournalFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) key: Key,
    /// Its length on the disk.
    pub(crate) len: u64,
}

impl JournalFile {
    /// Makes a file of `len` bytes, all of them written and durable, name and all.
    pub(crate) fn create(folder: &Path, len: u64, identity: Identity) -> io::Result<Self> {
        let path = folder.join(format!("{:020}.{EXTENSION}", identity.generation));
        let made = fill(&path, len).and_then(|()| Self::begin(path.clone(), len, identity));
        let made = made.and_then(|file| files::sync_names(folder).map(|()| file));
        if made.is_err() {
            // What there is of it takes room, which may be what is missing.
            let _ = fs::remove_file(&path);
        }
        made
    }

    /// Begins a new life of a file.
    pub(crate) fn begin(path: PathBuf, len: u64, identity: Identity) -> io::Result<Self> {
        let file = File::options().write(true).open(&path)?;
        let header = identity.header();
        file.write_all_at(&header, 0)?;
        file.write_all_at(&header, SECOND_AT)?;
        file.sync_all()?;
        Ok(Self {
            file,
            path,
            identity,
            key: identity.key(),
            len,
        })
    }
}

/// A file whose frames stay where they are.
#[derive(Clone, Debug)]
pub(crate) struct KeptFile {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    pub(crate) identity: Identity,
    pub(crate) first_number: u64,
    pub(crate) last_number: u64,
    /// The newest block in it, 0 if it has none.
    pub(crate) last_seq: Seq,
    /// Where its last frame ends, and the checksum of that.
    pub(crate) end: u64,
    pub(crate) sum: Sum,
}

impl KeptFile {
    /// Writes what was read again, and syncs it: the disk then holds what was read, also when only the system's cache
    /// did. A crash on the way leaves the same bytes.
    pub(crate) fn write_again(&self) -> io::Result<JournalFile> {
        let file = File::options().read(true).write(true).open(&self.path)?;
        let mut piece = vec![0; ZEROS];
        let mut at = 0;
        while at < self.end {
            let len = usize::try_from(self.end - at).map_or(ZEROS, |left| left.min(ZEROS));
            let piece = piece.get_mut(..len).unwrap_or_default();
            file.read_exact_at(piece, at)?;
            file.write_all_at(piece, at)?;
            at += len as u64;
        }
        file.sync_all()?;
        Ok(JournalFile {
            file,
            path: self.path.clone(),
            identity: self.identity,
            key: self.identity.key(),
            len: self.len,
        })
    }
}

fn fill(path: &Path, len: u64) -> io::Result<()> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let zeros = vec![0; ZEROS];
    let mut at = 0;
    while at < len {
        let piece = usize::try_from(len - at).map_or(ZEROS, |left| left.min(ZEROS));
        file.write_all_at(zeros.get(..piece).unwrap_or_default(), at)?;
        at += piece as u64;
    }
    Ok(())
}

/// A file as it was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundFile {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
    /// `None` when neither header holds.
    pub(crate) identity: Option<Identity>,
    /// The generation that it was made in.
    pub(crate) made_in: u64,
}

/// The files of a journal's folder, by their generations; those without a header that holds come last.
pub(crate) fn files_in(folder: &Path) -> io::Result<Vec<FoundFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == EXTENSION) {
            let len = fs::metadata(&path)?.len();
            let identity = File::open(&path).ok().and_then(|file| identity_of(&file));
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let made_in = stem.and_then(|stem| stem.parse().ok());
            found.push(FoundFile {
                path,
                len,
                identity,
                made_in: made_in.unwrap_or_default(),
            });
        }
    }
    found.sort_by_key(|file| {
        let generation = file.identity.map_or(u64::MAX, |life| life.generation);
        (generation, file.path.clone())
    });
    Ok(found)
}

/// What the headers say: the newer of two, should a crash have left one of them behind.
fn identity_of(file: &File) -> Option<Identity> {
    let at = |at| {
        let mut bytes = [0; HEADER_LEN];
        file.read_exact_at(&mut bytes, at).ok()?;
        Identity::read(&bytes)
    };
    let headers = [at(0), at(SECOND_AT)];
    headers
        .into_iter()
        .flatten()
        .max_by_key(|life| life.generation)
}
