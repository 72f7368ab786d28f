//! A Bloom filter over a segment's idempotency keys: says "surely not here" without a read.

use crate::key::IdempotencyKey;

/// Bits per key; with seven probes one lookup in a hundred finds nothing.
const BITS_PER_KEY: u64 = 10;
const PROBES: u64 = 7;

/// The filter; empty for a segment without keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bloom(Vec<u8>);

impl Bloom {
    /// Length in bytes of the filter of this many keys.
    pub(super) fn len_for(keys: u32) -> u64 {
        (u64::from(keys) * BITS_PER_KEY).div_ceil(8)
    }

    /// The filter of these keys.
    pub(super) fn of(keys: &[IdempotencyKey]) -> Self {
        let keys_len = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let len = usize::try_from(Self::len_for(keys_len)).unwrap_or(usize::MAX);
        let mut bytes = vec![0u8; len];
        for key in keys {
            for (byte, mask) in probes(*key, len) {
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte |= mask;
                }
            }
        }
        Self(bytes)
    }

    /// A filter that rules nothing out.
    pub(super) fn of_anything() -> Self {
        Self(vec![u8::MAX])
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the key may be in the segment.
    pub(crate) fn may_hold(&self, key: IdempotencyKey) -> bool {
        !self.0.is_empty()
            && probes(key, self.0.len())
                .all(|(byte, mask)| self.0.get(byte).is_some_and(|bits| bits & mask != 0))
    }
}

/// The bits that stand for a key: byte and mask each. Keys are hashes already, so two halves of one
/// make all probes.
fn probes(key: IdempotencyKey, len: usize) -> impl Iterator<Item = (usize, u8)> {
    let (start, rest) = key.as_bytes().split_first_chunk().unwrap_or((&[0; 4], &[]));
    let step = rest
        .first_chunk()
        .map_or(0, |bytes| u64::from(u32::from_be_bytes(*bytes)))
        | 1;
    let start = u64::from(u32::from_be_bytes(*start));
    let bits = (len as u64 * 8).max(1);
    (0..PROBES).map(move |probe| {
        let bit = (start + probe * step) % bits;
        (
            usize::try_from(bit / 8).unwrap_or(usize::MAX),
            1 << (bit % 8),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_every_key_and_few_others() {
        let keys: Vec<_> = (0..5_000)
            .map(|n| IdempotencyKey::new(&format!("in {n}")))
            .collect();
        let bloom = Bloom::of(&keys);
        assert_eq!(bloom.as_bytes().len() as u64, Bloom::len_for(5_000));
        assert!(keys.iter().all(|key| bloom.may_hold(*key)));
        let others = (0..5_000).map(|n| IdempotencyKey::new(&format!("out {n}")));
        let wrong = others.filter(|key| bloom.may_hold(*key)).count();
        assert!(wrong < 150, "{wrong} of 5000");
        assert!(!Bloom::of(&[]).may_hold(IdempotencyKey::new("x")));
    }
}
