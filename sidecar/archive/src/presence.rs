//! What an archive says of one object, and what follows of it. Pure.

use std::fmt::Write as _;

use crate::source::{Digest, Identity, Segment};

/// The name of the metadata with the digest of a segment's file.
pub(crate) const DIGEST: &str = "boboyka-digest";
/// The name of the metadata with the hash of a segment's last block.
pub(crate) const HEAD: &str = "boboyka-head";

/// What an archive says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: u64,
    /// The digest in its metadata, as it is written there; `None` where there is no metadata.
    pub(crate) digest: Option<String>,
    /// The hash of the last block, likewise.
    pub(crate) head: Option<String>,
}

/// How a segment stands in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing has its name.
    Absent,
    /// The archive holds it.
    Held,
    /// Nothing but its content can tell.
    Unknown,
    /// Something else has its name, and what it is.
    Other(String),
}

impl Presence {
    /// Of what the archive says. A store checks what it takes against the hash that the request signs, so that metadata which came
    /// with the object are as good as its content. The object of a segment that lost payloads here may have them.
    pub(crate) fn of(segment: &Segment, found: Option<&Found>) -> Self {
        let Some(found) = found else {
            return Self::Absent;
        };
        let own = &segment.identity;
        if found.digest.as_deref() == Some(&hexadecimal(&own.digest)) {
            return Self::of_length(segment, found);
        }
        if segment.is_stripped {
            return match &found.head {
                None => Self::Unknown,
                Some(head) if *head == hexadecimal(&own.head) => Self::Held,
                Some(_) => {
                    Self::Other("its last block is another one than the strand's".to_owned())
                }
            };
        }
        match (Self::of_length(segment, found), &found.digest) {
            (Self::Held, None) => Self::Unknown,
            (Self::Held, Some(_)) => other_digest(),
            (other, _) => other,
        }
    }

    fn of_length(segment: &Segment, found: &Found) -> Self {
        let (there, here) = (found.bytes, segment.bytes);
        if there == here {
            return Self::Held;
        }
        Self::Other(format!(
            "it has {there} bytes and the strand's segment {here}"
        ))
    }

    /// Of its content, by what it is if it is a segment that holds.
    pub(crate) fn of_content(segment: &Segment, identity: Option<Identity>) -> Self {
        match identity {
            Some(identity) if identity.digest == segment.identity.digest => Self::Held,
            Some(identity) if segment.is_stripped && identity.head == segment.identity.head => {
                Self::Held
            }
            Some(_) => other_digest(),
            None => Self::Other("its content is damaged, or no segment".to_owned()),
        }
    }
}

fn other_digest() -> Presence {
    Presence::Other("its digest is another one than the strand's".to_owned())
}

/// A digest as metadata have it: 64 hexadecimal digits.
pub fn hexadecimal(digest: &Digest) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Found, Presence, hexadecimal};
    use crate::source::{Identity, Segment};

    const SEGMENT: Segment = Segment {
        first: 1,
        last: 9,
        oldest_ms: 0,
        bytes: 100,
        identity: Identity {
            digest: [7; 32],
            head: [3; 32],
        },
        is_stripped: false,
    };
    const STRIPPED: Segment = Segment {
        is_stripped: true,
        ..SEGMENT
    };

    fn found(bytes: u64, digest: Option<u8>, head: Option<u8>) -> Found {
        let text = |byte: Option<u8>| byte.map(|byte| hexadecimal(&[byte; 32]));
        let (digest, head) = (text(digest), text(head));
        Found {
            bytes,
            digest,
            head,
        }
    }

    #[test]
    fn a_segment_is_held_only_with_its_length_and_its_digest() {
        let of = |bytes, digest| Presence::of(&SEGMENT, Some(&found(bytes, digest, Some(3))));
        assert_eq!(hexadecimal(&[7; 32]), "07".repeat(32));
        assert_eq!(Presence::of(&SEGMENT, None), Presence::Absent);
        assert_eq!(of(100, Some(7)), Presence::Held);
        assert_eq!(of(100, None), Presence::Unknown);
        for (bytes, digest) in [(99, Some(7)), (99, None), (100, Some(8))] {
            assert!(matches!(of(bytes, digest), Presence::Other(_)), "{bytes}");
        }
    }

    #[test]
    fn a_segment_that_lost_payloads_is_held_with_them_too_if_it_leads_to_the_same_block() {
        let of = |head| Presence::of(&STRIPPED, Some(&found(160, Some(8), head)));
        assert_eq!(of(Some(3)), Presence::Held);
        assert_eq!(of(None), Presence::Unknown);
        assert!(matches!(of(Some(4)), Presence::Other(_)));
        let own = Presence::of(&STRIPPED, Some(&found(100, Some(7), None)));
        assert_eq!(own, Presence::Held);
    }

    #[test]
    fn content_is_compared_by_what_it_is_itself() {
        let of = |segment, digest, head| {
            let (digest, head) = ([digest; 32], [head; 32]);
            Presence::of_content(segment, Some(Identity { digest, head }))
        };
        assert_eq!(of(&SEGMENT, 7, 3), Presence::Held);
        assert!(matches!(of(&SEGMENT, 8, 3), Presence::Other(_)));
        assert_eq!(of(&STRIPPED, 8, 3), Presence::Held);
        assert!(matches!(of(&STRIPPED, 8, 4), Presence::Other(_)));
        let damaged = Presence::of_content(&SEGMENT, None);
        assert!(matches!(damaged, Presence::Other(_)));
    }
}
