//! An entry of a version file: a key, as a hash, and the seq of one of its versions.

use std::sync::OnceLock;

use boboyka_strand::{RecordType, Seq};

/// BLAKE3 derive-key context of the hash of a key.
const CONTEXT: &str = "boboyka.sapixdb.com 2026-11 key of a state v1";
/// The highest bits of a key's hash are the code of its type, so that the keys of a type lie together.
const TYPE_BITS: u32 = 4;
const HASH_BITS: u32 = u64::BITS - TYPE_BITS;
/// The highest seq that an entry can name.
const SEQ_MAX: Seq = (1 << 40) - 1;

/// A key, as its type and 60 bits of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash(u64);

impl KeyHash {
    /// The hash of a key of a type.
    pub(crate) fn of(record_type: RecordType, key: &str) -> Self {
        static CONTEXT_KEY: OnceLock<[u8; 32]> = OnceLock::new();
        let context_key = CONTEXT_KEY.get_or_init(|| blake3::derive_key(CONTEXT, b""));
        let hash = blake3::keyed_hash(context_key, key.as_bytes());
        let bits = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        Self(Self::first_of(record_type).0 | u64::from_be_bytes(bits) >> TYPE_BITS)
    }

    /// Not above the hash of any key of a type.
    pub(crate) fn first_of(record_type: RecordType) -> Self {
        Self(u64::from(record_type.code()) << HASH_BITS)
    }

    /// Whether it is the hash of a key of this type.
    pub(crate) fn is_of(self, record_type: RecordType) -> bool {
        self.0 >> HASH_BITS == u64::from(record_type.code())
    }

    /// The next one in order. No type has the highest code, so there is one.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    pub(crate) fn new(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

/// A key and one of its versions. In order, the versions of a key lie together, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: KeyHash,
    /// How far the seq is below the highest one.
    age: u64,
}

impl Entry {
    /// Length on the disk: eight bytes of the key's hash, five of the age, big-endian.
    pub(super) const LEN: usize = 13;

    pub(crate) fn new(key: KeyHash, seq: Seq) -> Self {
        let age = SEQ_MAX.saturating_sub(seq);
        Self { key, age }
    }

    /// Not behind any version of the key.
    pub(crate) fn first_of(key: KeyHash) -> Self {
        Self { key, age: 0 }
    }

    pub(crate) fn seq(self) -> Seq {
        SEQ_MAX.saturating_sub(self.age)
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (key, age) = bytes.split_at_mut(8);
        key.copy_from_slice(&self.key.0.to_be_bytes());
        let [_, _, _, low @ ..] = self.age.to_be_bytes();
        age.copy_from_slice(&low);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (key, age) = bytes.split_at(8);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Self {
            key: KeyHash(number(key)),
            age: number(age),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_lie_in_the_order_of_their_bytes_by_type_and_key_and_the_newest_version_first() {
        let key = |name| KeyHash::of(RecordType::AgentHealth, name);
        let mut entries: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .flat_map(|name| [1, 2, 300, SEQ_MAX].map(|seq| Entry::new(key(name), seq)))
            .collect();
        entries.push(Entry::new(KeyHash::of(RecordType::ProjectBuild, "a"), 7));
        entries.sort_unstable();
        let mut bytes: Vec<_> = entries.iter().map(|entry| entry.to_bytes()).collect();
        bytes.sort_unstable();
        let read: Vec<_> = bytes.iter().map(Entry::from_bytes).collect();
        assert_eq!(read, entries);
        assert!(entries[0].key.is_of(RecordType::ProjectBuild));
        let seqs: Vec<_> = entries[1..5].iter().map(|entry| entry.seq()).collect();
        assert_eq!(seqs, [SEQ_MAX, 300, 2, 1]);
        assert!(Entry::first_of(key("a")) <= Entry::new(key("a"), SEQ_MAX));
    }
}
