//! The parameter `as_of`: milliseconds since 1970, `seq:` and a seq, or a `record_hash`.

use boboyka_store::AsOf;

use super::error::ApiError;
use super::parameters::{Parameters, milliseconds};

/// Its name.
pub(super) const AS_OF: &str = "as_of";

/// The moment that a reader asks for; the newest record if it names none.
pub(super) fn asked(parameters: &Parameters) -> Result<AsOf, ApiError> {
    let Some(text) = parameters.get(AS_OF) else {
        return Ok(AsOf::Now);
    };
    read(text).ok_or_else(|| {
        let must =
            "must be milliseconds since 1970, seq: and a seq, such as seq:42, or a record_hash";
        ApiError::parameter(AS_OF, must)
    })
}

fn read(text: &str) -> Option<AsOf> {
    if let Some(seq) = text.strip_prefix("seq:") {
        return seq.parse().ok().map(AsOf::Seq);
    }
    // No time has as many digits as a hash.
    let hash = text.parse().ok().map(AsOf::Hash);
    hash.or_else(|| milliseconds(text).map(AsOf::Ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_one_meaning() {
        assert_eq!(read("1747000000000"), Some(AsOf::Ms(1_747_000_000_000)));
        assert_eq!(read("1747000000000.0"), Some(AsOf::Ms(1_747_000_000_000)));
        assert_eq!(read("seq:42"), Some(AsOf::Seq(42)));
        let digits = "1".repeat(64);
        assert_eq!(read(&digits), digits.parse().ok().map(AsOf::Hash));
        for none in [
            "", "seq:", "seq:-1", "seq:x", "-1", "now", "12ab", "1.5", "NaN",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
