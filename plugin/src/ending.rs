//! How a command ends.

use std::process::ExitCode;

/// How a command ends, as programs see it: `docs/kubectl.md` promises these codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The answer is there, and nothing is wrong: 0.
    Well,
    /// The answer is there, and something is wrong or did not come in time: 1.
    Found,
    /// There is no answer, or only a part of it: 3. The command line's own errors end with 2.
    Unanswered,
}

impl Ending {
    /// `Well` unless something was found.
    pub(crate) fn found(is_found: bool) -> Self {
        if is_found { Self::Found } else { Self::Well }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Well => 0,
            Ending::Found => 1,
            Ending::Unanswered => 3,
        })
    }
}
