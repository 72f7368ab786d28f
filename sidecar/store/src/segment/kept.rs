//! What a segment that is written anew keeps of the one before, beside its blocks: idempotency keys, and the keys of versions
//! whose payload went before.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;

use boboyka_strand::Seq;

use super::format::{KEY_ENTRY_LEN, Segment};
use super::gone::GONE_KEY_LEN;
use crate::error::ReadError;
use crate::key::IdempotencyKey;

impl Segment {
    /// The versions whose payload is gone: their seqs and the hashes of their keys.
    pub(crate) fn gone_keys(&self) -> Result<Vec<(Seq, u64)>, ReadError> {
        let keys = self.meta.gone.map_or(0, |gone| gone.keys as usize);
        if keys == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; keys * GONE_KEY_LEN];
        let file = self.open_file()?;
        file.read_exact_at(&mut bytes, self.meta.gone_keys_at())
            .map_err(|error| self.io(error))?;
        // No payload vouches for them any more.
        if self.digest_of(&file).map_err(|error| self.io(error))? != self.digest {
            return Err(self.damaged("its digest is not the one that was sealed"));
        }
        let (entries, _) = bytes.as_chunks::<GONE_KEY_LEN>();
        Ok(entries.iter().map(|entry| self.gone_key(entry)).collect())
    }

    fn gone_key(&self, entry: &[u8; GONE_KEY_LEN]) -> (Seq, u64) {
        let [high, low, key @ ..] = *entry;
        let position = u16::from_be_bytes([high, low]);
        (
            self.meta.first_seq() + u64::from(position),
            u64::from_be_bytes(key),
        )
    }

    /// The idempotency keys of its blocks, by their seqs.
    pub(crate) fn read_keys(&self) -> Result<BTreeMap<Seq, IdempotencyKey>, ReadError> {
        let (index, file) = (self.key_index(), self.open_file()?);
        if !self.key_index_holds(&file)? {
            return Err(self.damaged("its key index is not the one that was sealed"));
        }
        let bytes = index
            .read(&file, 0, index.entries)
            .map_err(|error| self.io(error))?;
        let key = |entry: &[u8]| {
            let key = IdempotencyKey::from_bytes(*entry.first_chunk()?);
            Some((self.seq_of(entry), key))
        };
        Ok(bytes.chunks_exact(KEY_ENTRY_LEN).filter_map(key).collect())
    }
}
