//! Record ids: `UUIDv7`, one random draw per commit and counting up from it.
//!
//! RFC 9562 §6.2 allows a random start with increments inside one batch. It keeps ids unique and in
//! order of time, and lets a run of them be stored in next to no space.

use uuid::Uuid;

/// The 62 random bits at the end of a `UUIDv7`.
const TAIL_MASK: u128 = (1 << 62) - 1;

/// The ids of one commit.
#[derive(Clone, Copy, Debug)]
pub struct RecordIds {
    random: u128,
}

impl RecordIds {
    /// Ids that start at a random place; `entropy` must come from a good source of randomness.
    pub const fn starting_at(entropy: u128) -> Self {
        Self { random: entropy }
    }

    /// The next id, for a block of this millisecond.
    pub fn next(&mut self, ms: u64) -> Uuid {
        let id = compose(ms, self.random);
        self.random = (self.random & !TAIL_MASK) | (self.random.wrapping_add(1) & TAIL_MASK);
        id
    }
}

/// The id that follows `id` in its commit, for a block of this millisecond.
pub(crate) fn successor(id: Uuid, ms: u64) -> Uuid {
    let id = id.as_u128();
    with_ms((id & !TAIL_MASK) | (id.wrapping_add(1) & TAIL_MASK), ms)
}

/// The same id with another millisecond.
pub(crate) fn with_ms(id: u128, ms: u64) -> Uuid {
    Uuid::from_u128((id & ((1 << 80) - 1)) | (u128::from(ms) << 80))
}

fn compose(ms: u64, random: u128) -> Uuid {
    const VERSION: u128 = 7 << 76;
    const VARIANT: u128 = 0b10 << 62;
    let rand_a = (random >> 64 & 0xfff) << 64;
    with_ms(VERSION | rand_a | VARIANT | (random & TAIL_MASK), ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_carry_their_millisecond_and_count_up() {
        let mut ids = RecordIds::starting_at(u128::MAX);
        let (a, b) = (ids.next(1_747_000_000_000), ids.next(1_747_000_000_001));
        for id in [a, b] {
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }
        assert_eq!(u64::try_from(b.as_u128() >> 80).unwrap(), 1_747_000_000_001);
        assert_eq!(successor(a, 1_747_000_000_001), b);
        assert_ne!(a, b);
    }
}
