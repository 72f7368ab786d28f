//! A reader's position, opaque to it, and the filter it belongs to, so that it can't be used with another. In the events
//! feed it names a seq, which new records never move; among states and versions also the head that all pages are of.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boboyka_store::checksum;
use boboyka_strand::Seq;

const VERSION: u8 = 1;
const VERSION_AT: u8 = 2;
const CHECK_LEN: usize = 4;

/// A position at a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// The head that all pages are of.
    pub(super) head: Seq,
    /// Where the next page begins: a seq, or the place of a key.
    pub(super) place: u64,
}

impl At {
    /// The cursor of a page that ended here.
    pub(super) fn encode(self, filter: &str) -> String {
        let mut bytes = vec![VERSION_AT];
        bytes.extend_from_slice(&self.head.to_be_bytes());
        bytes.extend_from_slice(&self.place.to_be_bytes());
        bytes.extend_from_slice(&checksum::<CHECK_LEN>(filter.as_bytes()));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position that a cursor names; `None` when it is none of this filter's.
    pub(super) fn decode(cursor: &str, filter: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (head, rest) = rest.split_first_chunk()?;
        let (place, sum) = rest.split_first_chunk()?;
        let at = Self {
            head: Seq::from_be_bytes(*head),
            place: u64::from_be_bytes(*place),
        };
        (*version == VERSION_AT && sum == checksum::<CHECK_LEN>(filter.as_bytes())).then_some(at)
    }
}

/// The cursor of a page that ended before `seq`.
pub(super) fn encode(seq: Seq, filter: &str) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&checksum::<CHECK_LEN>(filter.as_bytes()));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The seq that a cursor names; `None` when it is none of this filter's.
pub(super) fn decode(cursor: &str, filter: &str) -> Option<Seq> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (seq, sum) = rest.split_first_chunk()?;
    (*version == VERSION && sum == checksum::<CHECK_LEN>(filter.as_bytes()))
        .then_some(Seq::from_be_bytes(*seq))
}

#[cfg(test)]
mod tests {
    use super::{At, decode, encode};

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let cursor = encode(77, "audit_log");
        assert_eq!(decode(&cursor, "audit_log"), Some(77));
        assert_eq!(decode(&cursor, ""), None);
        for other in ["", "x", "????", &cursor[1..], &format!("{cursor}AA")] {
            assert_eq!(decode(other, "audit_log"), None, "{other}");
            assert_eq!(At::decode(other, "audit_log"), None, "{other}");
        }
        assert_eq!(At::decode(&cursor, "audit_log"), None);
    }

    #[test]
    fn a_cursor_at_a_head_keeps_both_and_belongs_to_its_filter() {
        let at = At {
            head: 77,
            place: u64::MAX,
        };
        let cursor = at.encode("states");
        assert_eq!(At::decode(&cursor, "states"), Some(at));
        assert_eq!(At::decode(&cursor, "versions"), None);
        assert_eq!(decode(&cursor, "states"), None);
    }
}
