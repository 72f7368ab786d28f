//! The head that was acknowledged last, in a file of its own beside the journal.
//!
//! A frame that does not hold at the journal's end was cut short before its commit, or it was acknowledged and is damaged:
//! this file tells which. It is
//! written after each commit and before its answers, without a sync of its own, so it outlives the
//! process at once and a power cut mostly; never does it name a block that was not durable.
//!
//! Layout: seq (u64, big-endian), hash, the first 8 bytes of the BLAKE3 of both.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use boboyka_strand::{Hash, Head, Seq};

use crate::checksum::checksum;
use crate::error::OpenError;
use crate::files::failed;

const FILE: &str = "acknowledged";
const LEN: usize = 48;
const CHECK_LEN: usize = 8;

/// What the file says: seq and hash of a block.
pub(crate) type Acknowledged = (Seq, Hash);

/// The open file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    path: PathBuf,
}

impl Witness {
    /// Whether a data folder has one.
    pub(crate) fn is_in(data_dir: &Path) -> bool {
        data_dir.join(FILE).exists()
    }

    pub(crate) fn open(data_dir: &Path) -> Result<Self, OpenError> {
        let path = data_dir.join(FILE);
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed("open", &path))?;
        Ok(Self { file, path })
    }

    /// What was acknowledged last; `None` when nothing is known, also after a torn write.
    pub(crate) fn last(&self) -> Result<Option<Acknowledged>, OpenError> {
        let mut bytes = [0; LEN];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failed("read", &self.path)(error)),
        }
    }

    /// Notes the head of a commit that is durable.
    pub(crate) fn note(&self, head: &Head) -> io::Result<()> {
        self.file.write_all_at(&encode(head), 0)
    }
}

fn encode(head: &Head) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let (content, check) = bytes.split_at_mut(40);
    let (seq, hash) = content.split_at_mut(8);
    seq.copy_from_slice(&head.seq.to_be_bytes());
    hash.copy_from_slice(head.hash.as_bytes());
    check.copy_from_slice(&checksum::<CHECK_LEN>(content));
    bytes
}

fn decode(bytes: &[u8; LEN]) -> Option<Acknowledged> {
    let (content, check) = bytes.split_last_chunk::<CHECK_LEN>()?;
    let (seq, hash) = content.split_first_chunk()?;
    let hash: [u8; 32] = hash.try_into().ok()?;
    (*check == checksum(content)).then(|| (Seq::from_be_bytes(*seq), Hash::from_bytes(hash)))
}

#[cfg(test)]
mod tests {
    use boboyka_strand::{Hash, Head};

    use super::Witness;

    #[test]
    fn what_was_noted_is_read_and_a_torn_write_is_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::open(dir.path()).unwrap();
        assert_eq!(witness.last().unwrap(), None);
        let head = Head {
            seq: 7,
            hash: Hash::from_bytes([9; 32]),
            ..Head::EMPTY
        };
        witness.note(&head).unwrap();
        let again = Witness::open(dir.path()).unwrap();
        assert_eq!(again.last().unwrap(), Some((7, head.hash)));
        let path = dir.path().join("acknowledged");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(again.last().unwrap(), None);
    }
}
