//! The anchor: floor and phase in a file of their own, which versions before the ledger kept beside the tail. It is
//! only read.
//!
//! Layout: `MessagePack` of strand id, floor and phase (see `stored`); the first 8 bytes of its BLAKE3.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::checksum::checksum;
use crate::error::causes;
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
        let path = path_in(data_dir);
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
}

/// Where the anchor of a data folder lies.
pub(crate) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
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
