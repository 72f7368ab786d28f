//! What a check finds. Pure.

use crate::reason::Reason;

/// How many objects a message names.
const NAMED_MAX: usize = 5;

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Whether the condition is true; `None` while nobody can say.
    pub(super) holds: Option<bool>,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Finding {
    /// The condition is true.
    pub(super) fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            holds: Some(true),
            reason: reason.to_string(),
            message: message.into(),
        }
    }

    /// The condition is false.
    pub(super) fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            holds: Some(false),
            ..Self::yes(reason, message)
        }
    }

    /// The finding if it says no.
    pub(super) fn objection(self) -> Option<Self> {
        (self.holds == Some(false)).then_some(self)
    }

    /// The same reason and message, for a condition that is true.
    pub(super) fn into_true(self) -> Self {
        Self {
            holds: Some(true),
            ..self
        }
    }
}

/// The first few of a list, and how many more there are.
pub(super) fn some_of(all: &[String]) -> String {
    let named: Vec<&str> = all.iter().take(NAMED_MAX).map(String::as_str).collect();
    match all.len().saturating_sub(NAMED_MAX) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
