//! The names of a strand's segments in its archive, and what a list of them says. Pure.

use std::fmt;

/// The blocks of a segment, from seq to seq; as text the name of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Range {
    /// The range that the name of an object says; `None` when it is the name of something else.
    pub fn of_name(name: &str) -> Option<Self> {
        let (first, last) = name.strip_suffix(".seg")?.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        (0 < first && first <= last).then_some(Self { first, last })
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

fn number(digits: &str) -> Option<u64> {
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:020}.seg", self.first, self.last)
    }
}

/// The segments of one strand that an archive has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(Vec<Range>);

impl Listing {
    /// Of the names of its objects, in any order.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut ranges: Vec<_> = names.filter_map(Range::of_name).collect();
        ranges.sort_unstable();
        ranges.dedup();
        Self(ranges)
    }

    /// An object that holds some of these blocks under another name: somebody else wrote another history of the strand.
    pub(crate) fn other_than(&self, range: Range) -> Option<Range> {
        let others = self.0.iter().copied();
        others
            .filter(|other| *other != range)
            .find(|other| other.overlaps(range))
    }

    /// The segments from the first block on, without a gap.
    ///
    /// # Errors
    /// What is missing, or is there twice.
    pub fn chain(&self) -> Result<&[Range], String> {
        let mut next = 1;
        for (at, range) in self.0.iter().enumerate() {
            if range.first < next {
                let before = at.checked_sub(1).and_then(|at| self.0.get(at));
                let before = before.map(ToString::to_string).unwrap_or_default();
                return Err(format!(
                    "{before} and {range} hold the same seqs: two histories of the strand were archived. Move the wrong object away"
                ));
            }
            if range.first > next {
                let missing = range.first - 1;
                return Err(format!(
                    "the segments with the seqs {next} to {missing} are missing"
                ));
            }
            next = range.last.saturating_add(1);
        }
        if self.0.is_empty() {
            return Err("there is no segment".to_owned());
        }
        Ok(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Listing, Range};

    const A: &str = "00000000000000000001-00000000000000000010.seg";
    const B: &str = "00000000000000000011-00000000000000000030.seg";
    const OTHER: &str = "00000000000000000011-00000000000000000020.seg";

    #[test]
    fn a_name_says_the_range_and_nothing_else_is_one() {
        let range = Range { first: 1, last: 10 };
        assert_eq!(Range::of_name(A), Some(range));
        assert_eq!(range.to_string(), A);
        for name in [
            "checkpoint",
            "1-10.seg",
            "+0000000000000000001-00000000000000000010.seg",
            "00000000000000000000-00000000000000000010.seg",
            "00000000000000000011-00000000000000000010.seg",
            "99999999999999999999-99999999999999999999.seg",
        ] {
            assert_eq!(Range::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_chain_begins_with_the_first_block_and_has_every_block_once() {
        let listing = |names: &[&str]| Listing::of(names.iter().copied());
        assert_eq!(listing(&[B, "checkpoint", A]).chain().unwrap().len(), 2);
        let missing = listing(&[B]).chain().unwrap_err();
        assert!(
            missing.contains("the seqs 1 to 10 are missing"),
            "{missing}"
        );
        let twice = listing(&[A, B, OTHER]).chain().unwrap_err();
        assert!(twice.contains(B) && twice.contains(OTHER), "{twice}");
        assert!(listing(&[]).chain().is_err());
    }

    #[test]
    fn an_object_with_some_of_the_blocks_under_another_name_is_found() {
        let listing = Listing::of([A, B].into_iter());
        assert_eq!(
            listing.other_than(Range {
                first: 11,
                last: 30
            }),
            None
        );
        assert_eq!(
            listing.other_than(Range {
                first: 31,
                last: 40
            }),
            None
        );
        let other = Range {
            first: 11,
            last: 30,
        };
        assert_eq!(
            listing.other_than(Range {
                first: 30,
                last: 31
            }),
            Some(other)
        );
    }
}
