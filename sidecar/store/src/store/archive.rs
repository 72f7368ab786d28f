//! What an archive asks of the strand.

use boboyka_strand::Seq;

use super::handle::Store;
use crate::archive::{ArchiveNeed, Sealed, sealed};
use crate::error::ReadError;

impl Store {
    /// The sealed segments that end after a seq, oldest first. Blocking.
    pub fn sealed_after(&self, seq: Seq) -> Vec<Sealed> {
        let segments = self.shared.state().memory().segments().to_vec();
        let after = segments.iter().filter(|it| it.meta.head.seq > seq);
        after.map(|segment| sealed(segment)).collect()
    }

    /// The file of the sealed segment that begins with a seq; `None` when there is none, because it was pruned. Blocking.
    ///
    /// # Errors
    /// It can't be read, or its digest is not the one that was sealed.
    pub fn sealed_file(&self, first: Seq) -> Result<Option<Vec<u8>>, ReadError> {
        let segments = self.shared.state().memory().segments().to_vec();
        let Some(segment) = segments.iter().find(|it| it.meta.first_seq() == first) else {
            return Ok(None);
        };
        segment.read_whole().map(Some)
    }

    /// What an archive needs from now on; `None` without one.
    pub fn keep_for_archive(&self, need: Option<ArchiveNeed>) {
        self.shared.change_quietly(|state| state.set_archive(need));
    }

    /// What the archive needs; `None` without one.
    pub fn archive_need(&self) -> Option<ArchiveNeed> {
        self.shared.state().archive()
    }
}
