//! Entry points for fuzz targets: bytes that a disk may hold, which must never make the store panic.

use crate::journal::{Identity, entry, frame};
use crate::ledger::Page;
use crate::{segment, stored, tail_run};

/// A frame of the journal, whatever its key: header, checksum, entries.
pub fn frame(bytes: &[u8]) {
    let key = [0; 32];
    let _ = frame::unchecked_head(bytes);
    if let Some((_, body_len)) = frame::read_head(bytes, &key) {
        let _ = frame::read_body(bytes, body_len, &key);
    }
    let _ = entry::read(bytes);
}

/// The header of a file of the journal.
pub fn journal_header(bytes: &[u8]) {
    let _ = Identity::read(bytes);
}

/// A page of the ledger.
pub fn ledger(bytes: &[u8]) {
    if let Some((_, page)) = Page::decode(bytes) {
        let _ = page.summary();
    }
}

/// A run as it lies in the tail.
pub fn tail_run(bytes: &[u8]) {
    if let Ok(unpacked) = tail_run::unpack(bytes) {
        let _ = boboyka_strand::run::read(&unpacked.run);
    }
}

/// The footer of a segment.
pub fn footer(bytes: &[u8]) {
    segment::read_footer(bytes);
}

/// A file that claims to be a segment.
pub fn segment(path: &std::path::Path) {
    if let Ok(found) = segment::Segment::discover(path) {
        let before = found.meta.before;
        let mut walk_on = |_| std::ops::ControlFlow::Continue(());
        let _ = found.verify(before, &mut walk_on);
        let _ = found.read_bloom();
        let _ = found.seqs_like(&found.meta.head.hash);
    }
}

/// Values of the catalogue, the floor and the phase.
pub fn stored(bytes: &[u8]) {
    stored::read_any(bytes);
}
