//! The rules about how the migration moves: the soak, forced gates, the end.

use super::rule::{Rule, Subject};
use crate::migration::{Force, Migration};
use crate::phase::Phase;
use crate::quantity::duration;

/// A year.
const SOAK_MAX_SECONDS: u64 = 8760 * 3600;
const REASON_MAX: usize = 500;

const AT: &[&str] = &["spec", "migration"];
const AT_FORCE: &[&str] = &["spec", "migration", "force"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: AT,
        field: "spec.migration.soak",
        message: "must be a duration from 0s to 8760h, such as 24h",
        cel: "self.soak.matches('^([0-9]+(h|m|s|ms))+$') && duration(self.soak) <= duration('8760h')",
        is_kept: Some(|s| {
            let soak = migration(s).map(|it| duration(&it.soak));
            soak.is_none_or(|it| {
                it.is_some_and(|it| it.as_millis() <= 1000 * u128::from(SOAK_MAX_SECONDS))
            })
        }),
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
