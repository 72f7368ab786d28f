//! The version of the format that a program must know to read a strand. A strand has the first one until it holds what
//! that does not have, and says so in its ledger before it holds it: a program that knows less refuses to open the
//! strand, instead of taking for damage what it does not know.

/// What a program must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    /// The four record types that are mirrored.
    #[default]
    First = 1,
    /// Documents too.
    Documents = 2,
    /// Legacy projects too.
    Legacy = 3,
    /// Segments without some payloads too.
    Stripped = 4,
}

impl Format {
    const ALL: [Self; 4] = [Self::First, Self::Documents, Self::Legacy, Self::Stripped];

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    /// `Err` says what to do.
    pub(crate) fn of_number(number: u8) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.number() == number);
        known.ok_or_else(|| {
            let newest = Self::Stripped.number();
            format!(
                "the strand has format {number}, and this program knows {newest} at most: use the version that wrote it, or a later one"
            )
        })
    }
}
