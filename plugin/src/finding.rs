//! What was found of a thing: how it is, in a sentence, and what to do next. Pure.

use serde::Serialize;

use crate::table::{Cell, Look, Table, paragraph};

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Level {
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Odd,
    /// Wrong.
    Bad,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) what: String,
    /// What to do next; empty when there is nothing to do.
    pub(crate) next: String,
}

impl Finding {
    /// It is as it should be.
    pub(crate) fn good(what: impl Into<String>) -> Self {
        Self::new(Level::Good, what, "")
    }

    /// It is on its way, or worth a look.
    pub(crate) fn odd(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Level::Odd, what, next)
    }

    /// It is wrong.
    pub(crate) fn bad(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Level::Bad, what, next)
    }

    fn new(level: Level, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            level,
            what: what.into(),
            next: next.into(),
        }
    }
}

/// Writes findings, one below the other.
pub(crate) fn text(findings: &[Finding], width: Option<usize>) -> String {
    findings.iter().map(|one| line(one, width)).collect()
}

fn line(finding: &Finding, width: Option<usize>) -> String {
    let mark = match finding.level {
        Level::Good => Cell::new("ok", Look::Good),
        Level::Odd => Cell::new("look", Look::Odd),
        Level::Bad => Cell::new("wrong", Look::Bad),
    };
    let mut table = Table::new(&[]);
    table.row([mark, Cell::from(&finding.what)]);
    let next = if finding.next.is_empty() {
        String::new()
    } else {
        paragraph(&format!("next: {}", finding.next), 4, width)
    };
    table.render(width) + &next
}
