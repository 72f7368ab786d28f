//! Origins of strands' logs: which strand, and which incarnation. Pure.

use boboyka_crds::names;
use uuid::Uuid;

/// The origin of a strand's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The strand's own UUID.
    pub(super) strand: Uuid,
    /// The number of the incarnation, from 1.
    pub(super) number: u64,
}

impl Origin {
    /// The origin that a text is; each has one spelling.
    pub(super) fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(names::ORIGINS)?.strip_prefix('/')?;
        let (strand, number) = rest.split_once('/')?;
        let (strand, number) = (strand.parse().ok()?, number.parse().ok()?);
        let origin = Self { strand, number };
        (number > 0 && origin.to_string() == text).then_some(origin)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", names::ORIGINS, self.strand, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        let origin = Origin {
            strand: Uuid::max(),
            number: 3,
        };
        assert_eq!(Origin::read(&origin.to_string()), Some(origin));
        let text = origin.to_string();
        for wrong in [
            text.to_uppercase(),
            text.replace("/3", "/03"),
            text.replace("/3", "/0"),
            text.replace("/3", ""),
            text.replace("strands", "strand"),
            text.replace('-', ""),
            String::new(),
        ] {
            assert_eq!(Origin::read(&wrong), None, "{wrong}");
        }
    }
}
