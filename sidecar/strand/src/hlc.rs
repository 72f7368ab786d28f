//! The hybrid logical clock: 48 bits of milliseconds since 1970 and a 16-bit counter, the packing of
//! `SapixDB`'s Python client. It rises with every block even when the wall clock stands still or
//! goes back, so a time names exactly one prefix of a strand.

/// Bits of the counter below the milliseconds.
const COUNTER_BITS: u32 = 16;

/// A time that no two blocks of a strand share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(u64);

impl Hlc {
    /// Before every block.
    pub const ZERO: Self = Self(0);

    /// A time from its packed form.
    pub const fn new(packed: u64) -> Self {
        Self(packed)
    }

    /// The packed form.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The first time of a millisecond. Milliseconds beyond 48 bits (the year 10889) saturate.
    pub const fn from_ms(ms: u64) -> Self {
        const MAX_MS: u64 = u64::MAX >> COUNTER_BITS;
        Self(if ms > MAX_MS {
            MAX_MS << COUNTER_BITS
        } else {
            ms << COUNTER_BITS
        })
    }

    /// The millisecond.
    pub const fn ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The time of the next block, when the wall clock shows `now_ms`: later than `self` in any case.
    #[must_use]
    pub fn next(self, now_ms: u64) -> Self {
        Self(self.0.saturating_add(1)).max(Self::from_ms(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::Hlc;

    #[test]
    fn it_follows_the_wall_clock_and_never_goes_back() {
        let first = Hlc::ZERO.next(1_000);
        assert_eq!((first.ms(), first.get()), (1_000, 1_000 << 16));
        let same_ms = first.next(1_000);
        assert_eq!(same_ms.get(), first.get() + 1);
        let clock_went_back = same_ms.next(10);
        assert!(clock_went_back > same_ms);
        assert_eq!(clock_went_back.ms(), 1_000);
    }

    #[test]
    fn a_full_counter_runs_into_the_next_millisecond() {
        let full = Hlc::new((7 << 16) | 0xffff);
        assert_eq!(full.next(7).ms(), 8);
    }
}
