//! Entries of pruned blocks that proofs may still need: a file for each tile, `tlog/kept/<index, 20 digits>.entries`.
//!
//! The file holds the tile's entries up to the floor, each behind its length in two bytes, and the first 8 bytes of the
//! BLAKE3 of index (u64) and all that. It is synced before the blocks are unlinked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::place::FOLDER;
use crate::checksum::checksum;
use crate::files;

const EXTENSION: &str = "entries";
const CHECK_LEN: usize = 8;

/// What is kept in one data folder.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER).join("kept"),
        }
    }

    /// Keeps the first entries of a tile, in the place of what there is of it.
    pub(crate) fn keep(&self, tile: u64, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = tile.to_be_bytes().to_vec();
        for entry in entries {
            bytes.extend(entry.encoded());
        }
        let check = checksum::<CHECK_LEN>(&bytes);
        bytes.extend(check);
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder)?;
            self.folder.parent().map_or(Ok(()), files::sync_names)?;
        }
        let content = bytes.get(8..).unwrap_or_default();
        files::replace(&self.file_of(tile), content)
    }

    /// The entries that are kept of a tile, from its first one on; none where the file is damaged.
    pub(crate) fn read(&self, tile: u64) -> Vec<Entry> {
        let bytes = fs::read(self.file_of(tile)).ok();
        bytes
            .and_then(|bytes| decode(tile, &bytes))
            .unwrap_or_default()
    }

    /// The tiles of which something is kept, in order.
    pub(crate) fn tiles(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let tile = |path: PathBuf| {
            let is_kept = path.extension().is_some_and(|end| end == EXTENSION);
            is_kept
                .then(|| path.file_stem()?.to_str()?.parse().ok())
                .flatten()
        };
        let mut tiles: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| tile(entry.path()))
            .collect();
        tiles.sort_unstable();
        tiles
    }

    /// Keeps what is kept of a tile no longer.
    pub(crate) fn remove(&self, tile: u64) -> io::Result<()> {
        fs::remove_file(self.file_of(tile))
    }

    fn file_of(&self, tile: u64) -> PathBuf {
        self.folder.join(format!("{tile:020}.{EXTENSION}"))
    }
}

fn decode(tile: u64, bytes: &[u8]) -> Option<Vec<Entry>> {
    let (content, check) = bytes.split_last_chunk::<CHECK_LEN>()?;
    let mut checked = tile.to_be_bytes().to_vec();
    checked.extend(content);
    if *check != checksum::<CHECK_LEN>(&checked) {
        return None;
    }
    let (mut rest, mut entries) = (content, Vec::new());
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        entries.push(Entry::decode(entry)?);
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kept};

    #[test]
    fn entries_are_kept_and_a_damaged_file_keeps_none() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::of(folder.path());
        assert_eq!((kept.tiles(), kept.read(7)), (vec![], vec![]));
        let entries = [
            Entry::Unknown,
            Entry::Header([7; 105]),
            Entry::Header([8; 105]),
        ];
        kept.keep(7, &entries[..2]).unwrap();
        kept.keep(7, &entries).unwrap();
        kept.keep(12, &entries).unwrap();
        assert_eq!(kept.tiles(), [7, 12]);
        assert_eq!(kept.read(7), entries);
        let path = folder.path().join("tlog/kept/00000000000000000007.entries");
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(kept.read(7), [], "{place}");
        }
        // A file says which tile's it is.
        std::fs::copy(
            folder.path().join("tlog/kept/00000000000000000012.entries"),
            &path,
        )
        .unwrap();
        assert_eq!(kept.read(7), []);
        kept.remove(7).unwrap();
        assert_eq!(kept.tiles(), [12]);
    }
}
