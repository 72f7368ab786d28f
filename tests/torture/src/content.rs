//! What a file holds after a power cut: its durable changes, and of the others what fate leaves.

use fastrand::Rng;

use crate::log::Log;

/// What a device writes whole.
const SECTOR: u64 = 512;
/// What the page cache writes whole.
const PAGE: u64 = 4096;
/// Of a large write, how many sectors are lost in one place.
const HOLE: u64 = 32;

/// Which of the changes that no sync covers are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Fate {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// The oldest, up to some place in the middle of one.
    Prefix,
    /// Any, and any parts of them.
    Any,
    /// Lengths, but zeros instead of contents.
    Zeros,
    /// Only the newest of each file.
    Newest,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Everything,
        Self::Prefix,
        Self::Any,
        Self::Zeros,
        Self::Newest,
    ];
}

/// A change of a file.
pub(crate) enum Change {
    /// It got this length.
    Len(u64),
    /// These bytes of the log were written there.
    Bytes {
        at: u64,
        data: std::ops::Range<usize>,
    },
}

/// The content that changes leave, each with whether no sync covers it. `ordered` is ext4's way with data: the one page of a
/// small file is there or is not, and no length without its contents.
pub(crate) fn content(
    log: &Log,
    changes: &[(&Change, bool)],
    ordered: bool,
    fate: Fate,
    rng: &mut Rng,
) -> Vec<u8> {
    let pending = changes.iter().filter(|(_, lost)| *lost).count();
    let fate = if ordered {
        in_order(fate, changes, rng)
    } else {
        fate
    };
    let stop = rng.usize(..=pending);
    let (mut bytes, mut n) = (Vec::new(), 0);
    for (change, lost) in changes {
        n += usize::from(*lost);
        match fate {
            _ if !lost => apply(log, &mut bytes, change, &|_| true),
            Fate::Everything => apply(log, &mut bytes, change, &|_| true),
            Fate::Newest if n == pending => apply(log, &mut bytes, change, &|_| true),
            Fate::Prefix if n < stop => apply(log, &mut bytes, change, &|_| true),
            Fate::Prefix if n == stop => torn(log, &mut bytes, change, true, rng),
            Fate::Any => match rng.u8(..10) {
                0..4 => apply(log, &mut bytes, change, &|_| true),
                4..7 => torn(log, &mut bytes, change, false, rng),
                _ => {}
            },
            Fate::Nothing | Fate::Newest | Fate::Prefix => {}
            Fate::Zeros => grow(&mut bytes, change),
        }
    }
    bytes
}

fn in_order(fate: Fate, changes: &[(&Change, bool)], rng: &mut Rng) -> Fate {
    let small = changes.iter().all(|(change, _)| match change {
        Change::Len(_) => true,
        Change::Bytes { at, data } => at + data.len() as u64 <= PAGE,
    });
    match fate {
        Fate::Nothing | Fate::Everything => fate,
        _ if small && rng.bool() => Fate::Nothing,
        _ if small => Fate::Everything,
        Fate::Zeros => Fate::Any,
        Fate::Prefix | Fate::Any | Fate::Newest => fate,
    }
}

/// Some sectors of a write: the first ones, or any.
fn torn(log: &Log, bytes: &mut Vec<u8>, change: &Change, first_ones: bool, rng: &mut Rng) {
    let sectors = match change {
        Change::Len(_) => 1,
        Change::Bytes { at, data } => (at + data.len() as u64).div_ceil(SECTOR) - at / SECTOR,
    };
    let (first, seed) = (rng.u64(..=sectors), rng.u64(..));
    // A large write is rarely lost in most of its parts: a few holes.
    let holes: Option<Vec<u64>> =
        (sectors > 64 && rng.bool()).then(|| (0..3).map(|_| rng.u64(..sectors)).collect());
    apply(log, bytes, change, &|sector| match &holes {
        _ if first_ones => sector < first,
        Some(holes) => !holes
            .iter()
            .any(|hole| (*hole..hole + HOLE).contains(&sector)),
        None => Rng::with_seed(seed ^ sector).bool(),
    });
}

/// Makes a change, of a write only the sectors that `keeps` names, counted from its first.
fn apply(log: &Log, bytes: &mut Vec<u8>, change: &Change, keeps: &dyn Fn(u64) -> bool) {
    let (begin, data) = match change {
        Change::Len(len) => {
            if keeps(0) {
                bytes.resize(index(*len), 0);
            }
            return;
        }
        Change::Bytes { at, data } => (*at, log.data(data)),
    };
    let end = begin + data.len() as u64;
    let mut place = begin;
    while place < end {
        let next = ((place / SECTOR + 1) * SECTOR).min(end);
        if keeps(place / SECTOR - begin / SECTOR) {
            if bytes.len() < index(next) {
                bytes.resize(index(next), 0);
            }
            let piece = &data[index(place - begin)..index(next - begin)];
            bytes[index(place)..index(next)].copy_from_slice(piece);
        }
        place = next;
    }
}

/// The length that a change leaves, without its contents.
fn grow(bytes: &mut Vec<u8>, change: &Change) {
    let len = match change {
        Change::Len(len) => index(*len),
        Change::Bytes { at, data } => bytes.len().max(index(*at) + data.len()),
    };
    bytes.resize(len, 0);
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
