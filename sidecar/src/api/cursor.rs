//! A reader's position in the events feed, opaque to it. It names a seq, which new records never move,
//! and the filter it belongs to, so that it can't be used with another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boboyka_store::checksum;
use boboyka_strand::Seq;

const VERSION: u8 = 1;
const CHECK_LEN: usize = 4;

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
    use super::{decode, encode};

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let cursor = encode(77, "audit_log");
        assert_eq!(decode(&cursor, "audit_log"), Some(77));
        assert_eq!(decode(&cursor, ""), None);
        for other in ["", "x", "????", &cursor[1..], &format!("{cursor}AA")] {
            assert_eq!(decode(other, "audit_log"), None, "{other}");
        }
    }
}
