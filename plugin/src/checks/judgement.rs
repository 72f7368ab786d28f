//! What a check comes to. Pure.

use serde::Serialize;

use super::seen::Seen;
use crate::refusal::Read;

/// How a check ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// As it should be.
    Passed,
    /// It works, and something better is possible.
    Warned,
    /// Something has to be mended.
    Failed,
    /// Nobody could look.
    Skipped,
}

/// How a check ends, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(super) outcome: Outcome,
    pub(super) message: String,
    pub(super) mend: String,
}

/// Judges one thing; an error is the judgement that there is nothing to look at.
pub(super) type Judge = fn(&Seen) -> Result<Judgement, Judgement>;

/// As it should be.
pub(super) fn passed(message: impl Into<String>) -> Judgement {
    judgement(Outcome::Passed, message, "")
}

/// It works, and something better is possible.
pub(super) fn warned(message: impl Into<String>, mend: impl Into<String>) -> Judgement {
    judgement(Outcome::Warned, message, mend)
}

/// Something has to be mended.
pub(super) fn failed(message: impl Into<String>, mend: impl Into<String>) -> Judgement {
    judgement(Outcome::Failed, message, mend)
}

/// Nobody could look.
pub(super) fn skipped(message: impl Into<String>) -> Judgement {
    judgement(Outcome::Skipped, message, "")
}

fn judgement(outcome: Outcome, message: impl Into<String>, mend: impl Into<String>) -> Judgement {
    Judgement {
        outcome,
        message: message.into(),
        mend: mend.into(),
    }
}

/// What was read. A missing right skips the check; what does not exist is mended by `mend`.
pub(super) fn read<'a, T>(read: &'a Read<T>, mend: &str) -> Result<&'a T, Judgement> {
    read.as_ref().map_err(|refusal| {
        if refusal.is_right() {
            return skipped(refusal.to_string());
        }
        let mend = if refusal.is_missing() { mend } else { "" };
        failed(refusal.to_string(), mend)
    })
}
