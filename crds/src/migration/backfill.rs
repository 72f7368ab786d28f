//! The backfill: importing what was in Supabase before any strand wrote to it, into the strand `INTEGRATION-history`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::table::{MirrorTable, RECORD_TYPES, table_of};

/// Most rows that may be read in a second.
pub(crate) const ROWS_PER_SECOND_MAX: i32 = 100_000;

/// What to import, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// Record types whose tables are imported: `project_build`, `build_queue_item`, `agent_health` and `audit_log`. Default: all
    /// four.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 32)))]
    pub tables: Vec<String>,
    /// Leave out rows that say of themselves to be younger than this time, such as `2026-01-31T12:00:00Z`. Default: the time
    /// when the mirror began. The first run decides; a later run with another time imports nothing and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Maximum number of rows that are read in a second, from 1 to 100000. Default: 1000.
    #[serde(default = "rows_per_second")]
    #[schemars(range(min = 1, max = 100_000))]
    pub rows_per_second: i32,
}

/// What a backfill has imported, by its last report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackfillReport {
    /// Rows that say of themselves to be younger than this time are left out. Absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// How far each table is, by record type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, ImportedTable>,
    /// Why the last run ended before it was done. Absent while it goes on, and when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub problem: Option<String>,
}

/// How far the import of a table is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportedTable {
    /// Name of the table.
    pub table: String,
    /// Number of its rows that are in the history.
    pub rows: i64,
    /// Number of its rows that no record can hold. The history names them.
    #[serde(default)]
    pub refused: i64,
    /// Whether every row was passed.
    #[serde(default)]
    pub done: bool,
}

/// How the backfill stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackfillStatus {
    /// Number of rows that are in the strand `NAME-history`, by record type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, i64>,
    /// Number of rows that no record can hold. The history names them.
    #[serde(default)]
    pub refused: i64,
    /// Rows that say of themselves to be younger than this time are left out. Absent until the first run knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Whether all rows of the tables that `spec.migration.backfill` asks for were passed.
    #[serde(default)]
    pub done: bool,
    /// What stands in the way. Absent while nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub problem: Option<String>,
}

impl Default for Backfill {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            until: None,
            rows_per_second: rows_per_second(),
        }
    }
}

impl Backfill {
    /// The record types whose tables it asks for.
    pub fn record_types(&self) -> impl Iterator<Item = &str> {
        let all: &[&str] = if self.tables.is_empty() {
            &RECORD_TYPES
        } else {
            &[]
        };
        let named = self.tables.iter().map(String::as_str);
        all.iter().copied().chain(named)
    }

    /// The time in milliseconds since 1970 up to which it imports, if it says one.
    pub fn until_ms(&self) -> Option<u64> {
        let until = self.until.as_ref()?.0.as_millisecond();
        u64::try_from(until).ok()
    }
}

impl BackfillReport {
    /// Whether everything was passed that is asked for, in the tables that the integration names. `tables` are the settings of
    /// those that differ from the product's own, by record type; `None` without a Supabase, whose tables nobody names.
    pub fn has_done(
        &self,
        asked: &Backfill,
        tables: Option<&BTreeMap<String, MirrorTable>>,
    ) -> bool {
        let is_its_table = |name, it: &ImportedTable| {
            tables.is_none_or(|tables| table_of(name, tables) == Some(it.table.as_str()))
        };
        let is_done = |name| {
            let passed = self.tables.get(name).filter(|it| it.done);
            passed.is_some_and(|it| is_its_table(name, it))
        };
        let until = self.until.as_ref().map(|until| until.0.as_millisecond());
        let until = until.and_then(|ms| u64::try_from(ms).ok());
        let same = asked.until_ms().is_none_or(|ms| until == Some(ms));
        self.problem.is_none() && same && asked.record_types().all(is_done)
    }
}

impl BackfillStatus {
    /// Number of rows that are in the history.
    pub fn imported(&self) -> i64 {
        self.rows.values().sum()
    }
}

fn rows_per_second() -> i32 {
    1000
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Backfill, BackfillReport};
    use crate::table::{MirrorTable, table_of};

    fn own() -> BTreeMap<String, MirrorTable> {
        BTreeMap::new()
    }

    fn has_done(report: &BackfillReport, asked: &Backfill) -> bool {
        report.has_done(asked, Some(&own()))
    }

    fn asked(spec: Value) -> Backfill {
        serde_json::from_value(spec).unwrap()
    }

    fn report(done: &[&str], more: &Value) -> BackfillReport {
        let table = |name: &&str| {
            (
                (*name).to_owned(),
                json!({"table": table_of(name, &own()), "rows": 1, "done": true}),
            )
        };
        let tables: serde_json::Map<String, Value> = done.iter().map(table).collect();
        let mut report = json!({"tables": tables, "until": "2026-01-31T12:00:00.500Z"});
        report
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn it_is_done_when_every_table_is_that_is_asked_for() {
        let two = ["audit_log", "agent_health"];
        let four = [
            "audit_log",
            "agent_health",
            "project_build",
            "build_queue_item",
        ];
        assert!(!has_done(&report(&two, &json!({})), &asked(json!({}))));
        assert!(has_done(&report(&four, &json!({})), &asked(json!({}))));
        let one = asked(json!({"tables": ["audit_log"]}));
        assert!(has_done(&report(&two, &json!({})), &one));
        assert!(!has_done(&report(&two, &json!({"problem": "no"})), &one));
        assert!(!has_done(&BackfillReport::default(), &one));
    }

    #[test]
    fn another_time_is_another_backfill() {
        let until = |until: &str| asked(json!({"tables": ["audit_log"], "until": until}));
        let report = report(&["audit_log"], &json!({}));
        assert!(has_done(&report, &until("2026-01-31T12:00:00.5Z")));
        assert!(has_done(&report, &until("2026-01-31T13:00:00.5+01:00")));
        assert!(!has_done(&report, &until("2026-01-31T12:00:00Z")));
    }

    #[test]
    fn another_table_is_another_backfill() {
        let report = report(&["audit_log"], &json!({}));
        let one = asked(json!({"tables": ["audit_log"]}));
        let named = |table: &str| {
            let settings = json!({"audit_log": {"table": table}});
            serde_json::from_value::<BTreeMap<String, MirrorTable>>(settings).unwrap()
        };
        assert!(report.has_done(&one, Some(&named("agent_audit_log"))));
        assert!(!report.has_done(&one, Some(&named("audits"))));
        assert!(report.has_done(&one, None), "there is no Supabase any more");
    }
}
