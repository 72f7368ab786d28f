//! Tiles: the tree cut into files of at most 256 hashes, as <https://c2sp.org/tlog-tiles> names and sizes them.

use std::fmt;

use crate::decimal;

/// Hashes in a full tile, and entries below a full tile of level 0.
pub const WIDTH: u16 = 256;
/// Height of a full tile: 2^8 is [`WIDTH`].
pub const HEIGHT: u32 = 8;
/// The highest level: 256^7 entries are above what a log holds.
const LEVEL_MAX: u8 = 7;

/// The place of a tile. Hash `i` of tile `index` on `level` is the root over the entries from (256·index + i)·256^level on,
/// 256^level of them; on level 0 it is a leaf hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 holds the leaves.
    pub level: u8,
    /// From 0, on its level.
    pub index: u64,
    /// How many hashes are in it: 1 to 256.
    pub width: u16,
}

/// The place of the entries below a tile of level 0, each behind its length in two bytes, big-endian: tlog-tiles' entry bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entries {
    /// From 0.
    pub index: u64,
    /// How many entries are in it: 1 to 256.
    pub width: u16,
}

/// What lies below `tile/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Hashes.
    Tile(Tile),
    /// Entries.
    Entries(Entries),
}

/// A path that names no tile and no entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `tile/`, or lacks a part.
    #[error("the path is not tile/LEVEL/INDEX or tile/entries/INDEX")]
    Form,
    /// The level is no number from 0 to 7.
    #[error("the level {0:?} is no number from 0 to 7")]
    Level(String),
    /// The index is not written in groups of three digits, all but the last behind an x.
    #[error("the index {0:?} is not groups of three digits, all but the last behind an x")]
    Index(String),
    /// The width is no number from 1 to 255.
    #[error("the width {0:?} is no number from 1 to 255")]
    Width(String),
}

/// How many hashes a tile has in the tree of a size: 0 when it does not exist.
pub fn width(level: u8, index: u64, size: u64) -> u16 {
    let hashes = size.checked_shr(HEIGHT * u32::from(level)).unwrap_or(0);
    let before = index.saturating_mul(u64::from(WIDTH));
    let width = hashes.saturating_sub(before).min(u64::from(WIDTH));
    u16::try_from(width).unwrap_or(WIDTH)
}

/// Every tile of the tree of a size: level by level, from left to right.
pub fn tiles(size: u64) -> impl Iterator<Item = Tile> {
    (0..=LEVEL_MAX).flat_map(move |level| {
        (0..)
            .map(move |index| Tile {
                level,
                index,
                width: width(level, index, size),
            })
            .take_while(|tile| tile.width > 0)
    })
}

/// The entries of the tree of a size, tile by tile.
pub fn entries(size: u64) -> impl Iterator<Item = Entries> {
    (0..)
        .map(move |index| Entries {
            index,
            width: width(0, index, size),
        })
        .take_while(|entries| entries.width > 0)
}

impl Tile {
    /// The tile of a place in the tree of a size; `None` when it does not exist.
    pub fn at(level: u8, index: u64, size: u64) -> Option<Self> {
        let width = width(level, index, size);
        (width > 0).then_some(Self {
            level,
            index,
            width,
        })
    }

    /// Whether it never changes.
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }
}

impl Place {
    /// The tile or entries of a path below a log's prefix, such as `tile/0/x001/234/067.p/5`.
    ///
    /// # Errors
    /// When the path names none, or in another spelling.
    pub fn from_path(path: &str) -> Result<Self, PathError> {
        let rest = path.strip_prefix("tile/").ok_or(PathError::Form)?;
        let (level, rest) = rest.split_once('/').ok_or(PathError::Form)?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, parse_width(width)?),
            None => (rest, WIDTH),
        };
        let index = parse_index(index).ok_or_else(|| PathError::Index(index.into()))?;
        if level == "entries" {
            return Ok(Self::Entries(Entries { index, width }));
        }
        let level = parse_level(level)?;
        Ok(Self::Tile(Tile {
            level,
            index,
            width,
        }))
    }
}

/// The path below the log's prefix.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        write_place(f, self.index, self.width)
    }
}

/// The path below the log's prefix.
impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries/")?;
        write_place(f, self.index, self.width)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let digits = index.to_string();
    let groups = digits.len().div_ceil(3);
    let padded = format!("{index:0>wide$}", wide = groups * 3);
    for group in 0..groups {
        let last = group + 1 == groups;
        let digits = padded.get(group * 3..group * 3 + 3).unwrap_or_default();
        let (before, after) = if last { ("", "") } else { ("x", "/") };
        write!(f, "{before}{digits}{after}")?;
    }
    if width < WIDTH {
        write!(f, ".p/{width}")?;
    }
    Ok(())
}

fn parse_level(text: &str) -> Result<u8, PathError> {
    let level = decimal::parse(text).and_then(|level| u8::try_from(level).ok());
    level
        .filter(|level| *level <= LEVEL_MAX)
        .ok_or_else(|| PathError::Level(text.into()))
}

fn parse_width(text: &str) -> Result<u16, PathError> {
    let width = decimal::parse(text).and_then(|width| u16::try_from(width).ok());
    width
        .filter(|width| (1..WIDTH).contains(width))
        .ok_or_else(|| PathError::Width(text.into()))
}

/// The number of an index; only the spelling that [`write_place`] gives it.
fn parse_index(text: &str) -> Option<u64> {
    let digits: String = text
        .split('/')
        .map(|group| group.trim_start_matches('x'))
        .collect();
    let index: u64 = digits.parse().ok()?;
    let tile = Entries {
        index,
        width: WIDTH,
    };
    (tile.to_string().strip_prefix("tile/entries/") == Some(text)).then_some(index)
}
