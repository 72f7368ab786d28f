//! The anchor: floor and phase in a file of their own beside the tail, so that a strand whose tail is lost
//! still knows where it begins and what it obeys. The tail has the last word; this is its copy.
//!
//! Layout: `MessagePack` of strand id, floor and phase; the first 8 bytes of its BLAKE3.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::floor::Floor;
use crate::phase::StoredPhase;

const FILE: &str = "anchor";
const CHECK_LEN: usize = 8;

/// What must outlive the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    pub(crate) strand: Uuid,
    pub(crate) floor: Floor,
    pub(crate) phase: Option<StoredPhase>,
}

impl Anchor {
    /// The anchor of a data folder; `None` when there is none that can be read.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        let path = data_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "could not read the anchor");
                return None;
            }
        };
        let anchor = decode(&bytes);
        if anchor.is_none() {
            tracing::error!(path = %path.display(), "the anchor is damaged");
        }
        anchor
    }

    /// Replaces the file. A copy that can't be written must not stop what it is a copy of: a disk that is
    /// full gets room by pruning.
    pub(crate) fn keep(&self, data_dir: &Path) {
        if let Err(error) = self.write(data_dir) {
            tracing::error!(%error, "the anchor could not be written; the next start tries again");
        }
    }

    /// After a crash the file is the old one or this one.
    fn write(&self, data_dir: &Path) -> io::Result<()> {
        let (path, unfinished) = (data_dir.join(FILE), data_dir.join("anchor.unfinished"));
        let mut bytes = rmp_serde::to_vec(self).map_err(io::Error::other)?;
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        let mut file = File::create(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(data_dir)?.sync_all()
    }
}

fn decode(bytes: &[u8]) -> Option<Anchor> {
    let (content, found) = bytes.split_last_chunk::<CHECK_LEN>()?;
    if *found != check(content) {
        return None;
    }
    rmp_serde::from_slice(content).ok()
}

fn check(content: &[u8]) -> [u8; CHECK_LEN] {
    let hash = blake3::hash(content);
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Anchor, Floor};

    #[test]
    fn what_was_written_is_read_and_a_damaged_file_is_as_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Anchor::read(dir.path()), None);
        let anchor = Anchor {
            strand: Uuid::new_v4(),
            floor: Floor::NONE,
            phase: None,
        };
        anchor.write(dir.path()).unwrap();
        anchor.write(dir.path()).unwrap();
        assert_eq!(Anchor::read(dir.path()), Some(anchor));
        let path = dir.path().join("anchor");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Anchor::read(dir.path()), None);
    }
}
