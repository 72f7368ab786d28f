//! Who signed a checkpoint, in words.

use std::fmt;

use boboyka_tlog::note::Signed;
use jiff::Timestamp;

/// A line for each signature.
pub(crate) struct Signers<'a>(pub(crate) &'a [Signed]);

impl Signers<'_> {
    /// Whether a witness is among them.
    pub(crate) fn has_witness(&self) -> bool {
        self.0.iter().any(|signed| signed.seconds.is_some())
    }
}

impl fmt::Display for Signers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Signed { key, seconds } in self.0 {
            match seconds {
                None => writeln!(f, "signed by the log's key {key}")?,
                Some(seconds) => writeln!(f, "cosigned by {key} at {}", At(*seconds))?,
            }
        }
        Ok(())
    }
}

/// Seconds since 1970 as a date, or as they are when they are none.
struct At(u64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok();
        match time.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
            Some(time) => write!(f, "{time}"),
            None => write!(f, "{} s after 1970", self.0),
        }
    }
}
