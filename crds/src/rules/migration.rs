//! The rules about how the migration moves: the soak, forced gates, the end.

use std::time::Duration;

use super::pattern::duration_text;
use super::rule::{Rule, Subject};
use crate::migration::{Force, Migration};
use crate::phase::Phase;
use crate::quantity::lasts_at_most;

/// A year.
const SOAK_MAX: Duration = Duration::from_hours(8760);
const REASON_MAX: usize = 500;

const AT: &[&str] = &["spec", "migration"];
const AT_FORCE: &[&str] = &["spec", "migration", "force"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: AT,
        field: "spec.migration.soak",
        message: "must be a duration from 0s to 8760h, such as 24h",
        cel: concat!(
            "self.soak.matches('",
            duration_text!(),
            "') && duration(self.soak) <= duration('8760h')"
        ),
        is_kept: Some(|s| migration(s).is_none_or(|it| lasts_at_most(&it.soak, SOAK_MAX))),
    },
    Rule {
        at: AT_FORCE,
        field: "spec.migration.force.gates",
        message: "must name at least one gate, and each once: Reported, Drained, NoDeadLetters, ChainIntact, Parity, NoForeignWrites, Soak",
        cel: "self.gates.size() > 0 && self.gates.all(one, self.gates.exists_one(other, other == one))",
        is_kept: Some(|s| {
            force(s).is_none_or(|force| {
                let mut gates = force.gates.clone();
                gates.sort_unstable();
                gates.dedup();
                !gates.is_empty() && gates.len() == force.gates.len()
            })
        }),
    },
    Rule {
        at: AT_FORCE,
        field: "spec.migration.force.reason",
        message: "must say why, in 1 to 500 characters: it is recorded in every strand",
        cel: "self.reason.size() <= 500 && self.reason.matches('[^ \\\\t\\\\r\\\\n]')",
        is_kept: Some(|s| {
            let is_blank = |text: &str| text.chars().all(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            force(s)
                .is_none_or(|it| it.reason.chars().count() <= REASON_MAX && !is_blank(&it.reason))
        }),
    },
    Rule {
        at: &["spec"],
        field: "spec.phase",
        message: "must be CutOver while spec.migration.finalized is true: a finalized migration has no way back",
        cel: "!has(self.migration) || !self.migration.finalized || self.phase == 'CutOver'",
        is_kept: Some(|s| {
            let ends = migration(s).is_some_and(|it| it.finalized);
            !ends || s.spec.phase == Phase::CutOver
        }),
    },
];

fn migration<'a>(subject: &Subject<'a>) -> Option<&'a Migration> {
    subject.spec.migration.as_ref()
}

fn force<'a>(subject: &Subject<'a>) -> Option<&'a Force> {
    migration(subject).and_then(|it| it.force.as_ref())
}
