//! What the version files cover of the segments, and what is still to be gathered. Pure.

use std::sync::Arc;

use boboyka_strand::Seq;

use super::file::VersionFile;

/// Files of one level that become one of the next.
const MERGED: usize = 8;

/// A range of seqs for which there is no file yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

/// What is known of a range of seqs.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Its versions are in this file.
    File(Arc<VersionFile>),
    /// Its versions are to be gathered.
    Wanted(Wanted),
    /// Its versions could not be gathered, because the segment can't be read.
    Unreadable {
        first: Seq,
        last: Seq,
        why: Arc<str>,
    },
}

impl Piece {
    pub(crate) fn first(&self) -> Seq {
        match self {
            Self::File(file) => file.range().first,
            Self::Wanted(Wanted { first, .. }) | Self::Unreadable { first, .. } => *first,
        }
    }

    pub(crate) fn last(&self) -> Seq {
        match self {
            Self::File(file) => file.range().last,
            Self::Wanted(Wanted { last, .. }) | Self::Unreadable { last, .. } => *last,
        }
    }

    fn file(&self) -> Option<&Arc<VersionFile>> {
        match self {
            Self::File(file) => Some(file),
            Self::Wanted(_) | Self::Unreadable { .. } => None,
        }
    }

    /// What is left of it beside a range: something only where it is wanted still.
    fn beside(self, first: Seq, last: Seq) -> Vec<Self> {
        if self.last() < first || self.first() > last {
            return vec![self];
        }
        let Self::Wanted(wanted) = self else {
            return Vec::new();
        };
        let before = Wanted {
            last: first.saturating_sub(1),
            ..wanted
        };
        let behind = Wanted {
            first: last.saturating_add(1),
            ..wanted
        };
        let left = [before, behind].into_iter();
        let left = left.filter(|part| part.first <= part.last);
        left.map(Self::Wanted).collect()
    }
}

/// The pieces, oldest first. They do not overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cover {
    pieces: Vec<Piece>,
}

impl Cover {
    /// Everything is to be gathered; ranges in order.
    pub(crate) fn wanting(wanted: impl Iterator<Item = Wanted>) -> Self {
        let pieces = wanted.map(Piece::Wanted).collect();
        Self { pieces }
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Puts a piece in the place of what was known of its range.
    pub(crate) fn put(&mut self, piece: Piece) {
        let (first, last) = (piece.first(), piece.last());
        let pieces = std::mem::take(&mut self.pieces).into_iter();
        self.pieces = pieces.flat_map(|known| known.beside(first, last)).collect();
        let at = self.pieces.partition_point(|known| known.first() < first);
        self.pieces.insert(at, piece);
    }

    /// Forgets what is known of a range that holds no block.
    pub(crate) fn forget(&mut self, first: Seq, last: Seq) {
        let pieces = std::mem::take(&mut self.pieces).into_iter();
        self.pieces = pieces.flat_map(|known| known.beside(first, last)).collect();
    }

    /// Forgets what is pruned; its files.
    pub(crate) fn prune(&mut self, floor: Seq) -> Vec<Arc<VersionFile>> {
        let end = self.pieces.partition_point(|piece| piece.last() <= floor);
        let gone = self.pieces.drain(..end);
        gone.filter_map(|piece| piece.file().cloned()).collect()
    }

    /// Whether these files are here.
    pub(crate) fn has_all(&self, files: &[Arc<VersionFile>]) -> bool {
        let is = |a: &Arc<VersionFile>| {
            let mut known = self.pieces.iter().filter_map(Piece::file);
            known.any(|b| Arc::ptr_eq(a, b))
        };
        files.iter().all(is)
    }

    /// The newest range up to a seq that is to be gathered.
    pub(crate) fn wanted(&self, sealed: Seq) -> Option<Wanted> {
        let mut wanted = self.pieces.iter().rev().filter_map(|piece| match piece {
            Piece::Wanted(wanted) => Some(*wanted),
            Piece::File(_) | Piece::Unreadable { .. } => None,
        });
        wanted.find(|wanted| wanted.last <= sealed)
    }

    /// Neighbours that should become one file, oldest first; or one of which the greater part is pruned.
    pub(crate) fn to_merge(&self, floor: Seq) -> Option<Vec<Arc<VersionFile>>> {
        let mut neighbours: Vec<Arc<VersionFile>> = Vec::new();
        // From the oldest on, so that none is left behind between larger ones.
        for piece in &self.pieces {
            let Some(file) = piece.file() else {
                neighbours.clear();
                continue;
            };
            if neighbours
                .last()
                .is_some_and(|last| last.level() != file.level())
            {
                neighbours.clear();
            }
            neighbours.push(Arc::clone(file));
            if neighbours.len() == MERGED {
                return Some(neighbours);
            }
        }
        let oldest = self.pieces.first().and_then(Piece::file)?;
        let range = oldest.range();
        let kept = range.last.saturating_sub(floor);
        let is_mostly_pruned = floor >= range.first
            && oldest.entries() > 0
            && kept.saturating_mul(2) < oldest.entries();
        is_mostly_pruned.then(|| vec![Arc::clone(oldest)])
    }
}
