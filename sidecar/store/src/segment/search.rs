//! Finding entries by their first four bytes in a sorted index on disk, with about one small read.
//!
//! The entries begin with bytes of a hash, so they are spread evenly, and an entry's position
//! follows from its value to within a few times the square root of their number.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A sorted index in a file.
#[derive(Clone, Copy)]
pub(super) struct SortedIndex {
    pub(super) at: u64,
    pub(super) entries: usize,
    pub(super) entry_len: usize,
}

impl SortedIndex {
    /// The entries that begin with `prefix`, in order.
    pub(super) fn find(&self, file: &File, prefix: u32) -> io::Result<Vec<Vec<u8>>> {
        let scaled = (u64::from(prefix) * self.entries as u64) >> 32;
        let guess = usize::try_from(scaled).unwrap_or(self.entries);
        let mut reach = 8 + 4 * self.entries.isqrt();
        loop {
            let first = guess.saturating_sub(reach);
            let end = (guess + reach).min(self.entries);
            let window = self.read(file, first, end)?;
            let mut entries = window.chunks_exact(self.entry_len);
            // A window shows all matches when what stands at its edges lies beyond them.
            let starts = first == 0 || entries.next().is_some_and(|edge| begins(edge) < prefix);
            let ends = end == self.entries
                || window
                    .chunks_exact(self.entry_len)
                    .last()
                    .is_some_and(|e| begins(e) > prefix);
            if starts && ends {
                let found = window.chunks_exact(self.entry_len);
                return Ok(found
                    .filter(|e| begins(e) == prefix)
                    .map(<[u8]>::to_vec)
                    .collect());
            }
            reach *= 2;
        }
    }

    /// The bytes of the entries from `first` up to `end`.
    pub(super) fn read(&self, file: &File, first: usize, end: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; end.saturating_sub(first) * self.entry_len];
        file.read_exact_at(&mut bytes, self.at + (first * self.entry_len) as u64)?;
        Ok(bytes)
    }
}

/// An entry's first four bytes as a number.
pub(super) fn begins(entry: &[u8]) -> u32 {
    entry
        .first_chunk()
        .map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn index(prefixes: &[u32]) -> (File, SortedIndex) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"ahead").unwrap();
        for (n, prefix) in prefixes.iter().enumerate() {
            file.write_all(&prefix.to_be_bytes()).unwrap();
            file.write_all(&u16::try_from(n).unwrap().to_be_bytes())
                .unwrap();
        }
        (
            file,
            SortedIndex {
                at: 5,
                entries: prefixes.len(),
                entry_len: 6,
            },
        )
    }

    #[test]
    fn every_entry_is_found_however_uneven_the_index() {
        let even: Vec<u32> = (0..5_000).map(|n| n * 800_000).collect();
        let clustered: Vec<u32> = (0..3_000).map(|n| n / 700).collect();
        let high: Vec<u32> = (0..900).map(|n| u32::MAX - 899 + n).collect();
        for prefixes in [even, clustered, high, vec![7], vec![]] {
            let (file, index) = index(&prefixes);
            for prefix in prefixes.iter().copied().chain([0, 5, 12_345, u32::MAX]) {
                let expected = prefixes.iter().filter(|other| **other == prefix).count();
                let found = index.find(&file, prefix).unwrap();
                assert_eq!(found.len(), expected, "{prefix}");
                assert!(found.iter().all(|entry| begins(entry) == prefix));
            }
        }
    }
}
