//! The anchor: floor and phase in a file of their own beside the tail, so that a strand whose tail is lost
//! still knows where it begins and what it obeys. The tail has the last word; this is its copy.
//!
//! Layout: `MessagePack` of strand id, floor and phase (see `stored`); the first 8 bytes of its BLAKE3.

use std::fs;
use std::io;
use std::path::Path;

use uuid::Uuid;

use crate::checksum::checksum;
use crate::error::causes;
use crate::files;
use crate::floor::Floor;
use crate::phase::RecordedPhase;
use crate::stored::Stored;

const FILE: &str = "anchor";
const CHECK_LEN: usize = 8;

/// What must outlive the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) strand: Uuid,
    pub(crate) floor: Floor,
    pub(crate) phase: Option<RecordedPhase>,
}

impl Anchor {
    /// The anchor of a data folder; `None` when there is none that can be read.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        let path = data_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let (error, file) = (causes(&error), path.display().to_string());
                tracing::error!(error, file, "could not read the anchor {file}");
                return None;
            }
        };
        let anchor = decode(&bytes);
        if anchor.is_none() {
            let file = path.display().to_string();
            tracing::error!(file, "the anchor {file} is damaged and not used");
        }
        anchor
    }

    /// Replaces the file. A copy that can't be written must not stop what it is a copy of: a disk that is
    /// full gets room by pruning.
    pub(crate) fn keep(&self, data_dir: &Path) {
        if let Err(error) = self.write(data_dir) {
            let error = causes(&error);
            tracing::error!(
                error,
                "could not write the anchor; the next start tries again"
            );
        }
    }

    fn write(&self, data_dir: &Path) -> io::Result<()> {
        let mut bytes = self.to_bytes().map_err(io::Error::other)?;
        let check = checksum::<CHECK_LEN>(&bytes);
        bytes.extend_from_slice(&check);
        files::replace(&data_dir.join(FILE), &bytes)
    }
}

fn decode(bytes: &[u8]) -> Option<Anchor> {
    let (content, found) = bytes.split_last_chunk::<CHECK_LEN>()?;
    if *found != checksum(content) {
        return None;
    }
    Anchor::from_bytes(content).ok()
}

impl Stored for Anchor {
    const NAME: &'static str = "anchor";
    type Form = (
        Uuid,
        <Floor as Stored>::Form,
        Option<<RecordedPhase as Stored>::Form>,
    );

    fn to_form(&self) -> Self::Form {
        let phase = self.phase.as_ref().map(RecordedPhase::to_form);
        (self.strand, self.floor.to_form(), phase)
    }

    fn from_form((strand, floor, phase): Self::Form) -> Result<Self, String> {
        Ok(Self {
            strand,
            floor: Floor::from_form(floor)?,
            phase: phase.map(RecordedPhase::from_form).transpose()?,
        })
    }
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
            floor: Floor::default(),
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
