//! The file `tlog/tree`: the root of each full tile of level 0, in order. It only grows, and stays when blocks are pruned.
//!
//! A header and each root take 40 bytes. Header: magic, strand id, the seq up to which no header was ever known (u64),
//! check. Root: 32 bytes, check. A check is the first 8 bytes of BLAKE3, keyed by strand and that seq: of a root over its
//! index (u64) and itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use boboyka_strand::Seq;
use boboyka_tlog::TreeHash;
use uuid::Uuid;

use crate::files;

const FILE: &str = "tree";
const MAGIC: &[u8; 8] = b"BBKTRE\0\x01";
const CONTEXT: &str = "boboyka.sapixdb.com 2026-11 tree v1";
const LEN: usize = 40;
const CHECK_LEN: usize = 8;

/// The open file.
#[derive(Debug)]
pub(crate) struct TreeFile {
    file: File,
    key: [u8; 32],
    unknown_to: Seq,
}

impl TreeFile {
    /// Opens the file of a strand; `None` when it is not there, or is no such file.
    pub(crate) fn open(folder: &Path, strand: Uuid) -> io::Result<Option<Self>> {
        let path = folder.join(FILE);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut header = [0; LEN];
        match file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let unknown_to = header.get(24..32).and_then(|bytes| bytes.try_into().ok());
        let unknown_to = unknown_to.map_or(0, Seq::from_be_bytes);
        let key = key_of(strand, unknown_to);
        let whole = header == header_of(strand, unknown_to, &key);
        Ok(whole.then_some(Self {
            file,
            key,
            unknown_to,
        }))
    }

    /// Makes the file anew, or puts another in its place.
    pub(crate) fn create(
        folder: &Path,
        strand: Uuid,
        unknown_to: Seq,
        roots: &[TreeHash],
    ) -> io::Result<Self> {
        let path = folder.join(FILE);
        let key = key_of(strand, unknown_to);
        let mut bytes = header_of(strand, unknown_to, &key).to_vec();
        bytes.extend(encode(&key, 0, roots));
        files::replace(&path, &bytes)?;
        let file = File::options().read(true).write(true).open(&path)?;
        Ok(Self {
            file,
            key,
            unknown_to,
        })
    }

    /// The seq up to which no header was ever known: an earlier version pruned up to there, or what had them is lost.
    pub(crate) fn unknown_to(&self) -> Seq {
        self.unknown_to
    }

    /// All roots; `None` for one that does not hold. What was cut short at the end is left out.
    pub(crate) fn all(&self) -> io::Result<Vec<Option<TreeHash>>> {
        let len = self.file.metadata()?.len();
        let count = (len / LEN as u64).saturating_sub(1);
        self.read(0, count)
    }

    /// Some roots.
    pub(crate) fn read(&self, first: u64, count: u64) -> io::Result<Vec<Option<TreeHash>>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count.saturating_mul(LEN)];
        self.file.read_exact_at(&mut bytes, at(first))?;
        let (chunks, _) = bytes.as_chunks::<LEN>();
        let roots = (first..)
            .zip(chunks)
            .map(|(index, chunk)| decode(&self.key, index, chunk));
        Ok(roots.collect())
    }

    /// Writes roots, and syncs.
    pub(crate) fn write(&self, first: u64, roots: &[TreeHash]) -> io::Result<()> {
        if roots.is_empty() {
            return Ok(());
        }
        self.file
            .write_all_at(&encode(&self.key, first, roots), at(first))?;
        self.file.sync_data()
    }

    /// Takes away what lies behind this number of roots.
    pub(crate) fn cut(&self, count: u64) -> io::Result<()> {
        if self.file.metadata()?.len() > at(count) {
            self.file.set_len(at(count))?;
            self.file.sync_all()?;
        }
        Ok(())
    }
}

/// Where a root lies.
fn at(index: u64) -> u64 {
    (index + 1) * LEN as u64
}

fn key_of(strand: Uuid, unknown_to: Seq) -> [u8; 32] {
    let mut bytes = strand.as_bytes().to_vec();
    bytes.extend(unknown_to.to_be_bytes());
    blake3::derive_key(CONTEXT, &bytes)
}

fn check_of(key: &[u8; 32], parts: [&[u8]; 2]) -> [u8; CHECK_LEN] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; CHECK_LEN];
    hasher.finalize_xof().fill(&mut check);
    check
}

fn header_of(strand: Uuid, unknown_to: Seq, key: &[u8; 32]) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut parts = Vec::with_capacity(LEN);
    parts.extend(MAGIC);
    parts.extend(strand.as_bytes());
    parts.extend(unknown_to.to_be_bytes());
    let check = check_of(key, [&parts, &[]]);
    parts.extend(check);
    bytes.copy_from_slice(&parts);
    bytes
}

fn encode(key: &[u8; 32], first: u64, roots: &[TreeHash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(roots.len() * LEN);
    for (index, root) in (first..).zip(roots) {
        bytes.extend(root.as_bytes());
        bytes.extend(check_of(key, [&index.to_be_bytes(), root.as_bytes()]));
    }
    bytes
}

fn decode(key: &[u8; 32], index: u64, chunk: &[u8; LEN]) -> Option<TreeHash> {
    let (root, check) = chunk.split_first_chunk::<{ TreeHash::LEN }>()?;
    let found = check_of(key, [&index.to_be_bytes(), root]);
    (found == check).then(|| TreeHash::from_bytes(*root))
}

#[cfg(test)]
mod tests {
    use boboyka_tlog::TreeHash;
    use uuid::Uuid;

    use super::TreeFile;

    #[test]
    fn what_was_written_is_read_and_a_flipped_bit_takes_one_root() {
        let folder = tempfile::tempdir().unwrap();
        let roots: Vec<_> = (0..9u8).map(|n| TreeHash::of_leaf(&[n])).collect();
        let file = TreeFile::create(folder.path(), Uuid::nil(), 300, &roots[..4]).unwrap();
        file.write(4, &roots[4..]).unwrap();
        let path = folder.path().join("tree");
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 40 * 10);
        bytes[40 * 6 + 3] ^= 1;
        bytes.truncate(40 * 10 - 1);
        std::fs::write(&path, &bytes).unwrap();
        let again = TreeFile::open(folder.path(), Uuid::nil()).unwrap().unwrap();
        assert_eq!(again.unknown_to(), 300);
        let mut expected: Vec<_> = roots[..8].iter().copied().map(Some).collect();
        expected[5] = None;
        assert_eq!(again.all().unwrap(), expected);
        again.write(5, &roots[5..6]).unwrap();
        again.cut(7).unwrap();
        expected[5] = Some(roots[5]);
        assert_eq!(again.all().unwrap(), expected[..7]);
    }

    #[test]
    fn the_file_of_another_strand_or_with_another_header_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            TreeFile::open(folder.path(), Uuid::nil())
                .unwrap()
                .is_none()
        );
        drop(TreeFile::create(folder.path(), Uuid::nil(), 0, &[]).unwrap());
        assert!(
            TreeFile::open(folder.path(), Uuid::max())
                .unwrap()
                .is_none()
        );
        let path = folder.path().join("tree");
        for place in 0..40 {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(
                TreeFile::open(folder.path(), Uuid::nil())
                    .unwrap()
                    .is_none(),
                "{place}"
            );
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
        }
    }
}
