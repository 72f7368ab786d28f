//! The rules about the backfill.

use super::rule::{Rule, Subject};
use super::storage::ephemeral;
use crate::migration::{Backfill, ROWS_PER_SECOND_MAX};
use crate::table::RECORD_TYPES;

const AT: &[&str] = &["spec", "migration", "backfill"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: AT,
        field: "spec.migration.backfill.tables",
        message: "must name record types, each once: project_build, build_queue_item, agent_health, audit_log",
        cel: "!has(self.tables) || self.tables.all(one, one in ['project_build', 'build_queue_item', 'agent_health', 'audit_log'] && self.tables.exists_one(other, other == one))",
        is_kept: Some(|s| {
            backfill(s).is_none_or(|it| {
                let mut names: Vec<&str> = it.tables.iter().map(String::as_str).collect();
                names.sort_unstable();
                names.dedup();
                names.len() == it.tables.len() && names.iter().all(|it| RECORD_TYPES.contains(it))
            })
        }),
    },
    Rule {
        at: AT,
        field: "spec.migration.backfill.until",
        message: "must be a time after 1970, such as 2026-01-31T12:00:00Z",
        cel: "!has(self.until) || self.until >= timestamp('1970-01-01T00:00:00Z')",
        is_kept: Some(|s| {
            backfill(s).is_none_or(|it| it.until.is_none() || it.until_ms().is_some())
        }),
    },
    Rule {
        at: AT,
        field: "spec.migration.backfill.rowsPerSecond",
        message: "must be a number from 1 to 100000",
        cel: "self.rowsPerSecond >= 1 && self.rowsPerSecond <= 100000",
        is_kept: Some(|s| {
            backfill(s).is_none_or(|it| (1..=ROWS_PER_SECOND_MAX).contains(&it.rows_per_second))
        }),
    },
    Rule {
        at: &["spec"],
        field: "spec.migration.backfill",
        message: "needs a volume that outlives its pod, and spec.storage.ephemeral has none",
        cel: "!has(self.migration) || !has(self.migration.backfill) || !has(self.storage) || !has(self.storage.ephemeral)",
        is_kept: Some(|s| backfill(s).is_none() || ephemeral(s.spec).is_none()),
    },
];

fn backfill<'a>(subject: &Subject<'a>) -> Option<&'a Backfill> {
    let migration = subject.spec.migration.as_ref();
    migration.and_then(|it| it.backfill.as_ref())
}
