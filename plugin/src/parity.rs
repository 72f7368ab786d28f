//! How Supabase's tables differ from the strands, and what a repair came to. Pure.

use serde::{Deserialize, Serialize};

use crate::table::{Cell, Look, Table, paragraph};

/// What a sidecar answers to a comparison.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Compared {
    pub(crate) lanes: Vec<Lane>,
}

/// One lane.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Lane {
    pub(crate) record_type: String,
    pub(crate) table: Option<String>,
    pub(crate) parity: Option<Counts>,
    pub(crate) parity_unknown: Option<String>,
}

/// How many records and rows differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Counts {
    pub(crate) missing: i64,
    pub(crate) changed: i64,
    pub(crate) extra: i64,
    pub(crate) doubled: i64,
}

impl Counts {
    fn sum(self) -> i64 {
        self.missing + self.changed + self.extra + self.doubled
    }
}

/// What a repair of one strand, or of all, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Repaired {
    pub(crate) found: i64,
    pub(crate) sent: i64,
    pub(crate) beyond_repair: i64,
    /// Why not everything was sent.
    pub(crate) reason: Option<String>,
}

impl Repaired {
    /// Adds what another strand came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.found += other.found;
        self.sent += other.sent;
        self.beyond_repair += other.beyond_repair;
        self.reason = self.reason.take().or(other.reason);
    }

    /// Whether something still differs.
    pub(crate) fn is_open(&self) -> bool {
        self.beyond_repair > 0 || self.reason.is_some()
    }

    /// The sum as people read it.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        let sentence = format!(
            "{} differed: {} sent again, {} beyond repair",
            self.found, self.sent, self.beyond_repair
        );
        let mut text = paragraph(&sentence, 0, width);
        if let Some(reason) = &self.reason {
            text += &paragraph(&format!("not everything was sent: {reason}"), 0, width);
        }
        if self.beyond_repair > 0 {
            text += &paragraph(
                "next: the mirror may not delete: delete the extra, doubled and changed rows, and repair again",
                0,
                width,
            );
        }
        text
    }
}

/// A lane with its strand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) strand: String,
    #[serde(flatten)]
    pub(crate) lane: Lane,
}

impl Row {
    /// Whether the table differs from the strand.
    pub(crate) fn differs(&self) -> bool {
        self.lane.parity.is_some_and(|counts| counts.sum() > 0)
    }
}

/// The lanes that differ, or of which nothing is known, as people read them.
pub(crate) fn text(rows: &[Row], width: Option<usize>) -> String {
    let mut table = Table::new(&[
        "STRAND",
        "TABLE",
        "MISSING",
        "CHANGED",
        "EXTRA",
        "DOUBLED",
        "UNKNOWN BECAUSE",
    ]);
    let told = rows
        .iter()
        .filter(|row| row.differs() || row.lane.parity_unknown.is_some());
    for row in told.clone() {
        let count = |of: fn(&Counts) -> i64| {
            row.lane
                .parity
                .as_ref()
                .map_or("-".to_owned(), |counts| of(counts).to_string())
        };
        table.row([
            Cell::from(format!("{}/{}", row.namespace, row.strand)),
            Cell::new(
                row.lane.table.as_deref().unwrap_or(&row.lane.record_type),
                if row.differs() { Look::Bad } else { Look::Odd },
            ),
            Cell::from(count(|one| one.missing)),
            Cell::from(count(|one| one.changed)),
            Cell::from(count(|one| one.extra)),
            Cell::from(count(|one| one.doubled)),
            Cell::from(row.lane.parity_unknown.as_deref().unwrap_or_default()),
        ]);
    }
    if told.count() == 0 {
        return "Supabase has what the strands say.\n".to_owned();
    }
    table.render(width)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(lane: serde_json::Value) -> Row {
        Row {
            namespace: "agents".to_owned(),
            strand: "a".to_owned(),
            lane: serde_json::from_value(lane).unwrap(),
        }
    }

    #[test]
    fn tables_that_differ_and_tables_of_which_nothing_is_known_are_listed() {
        let parity = |missing: i64| json!({"missing": missing, "changed": 0, "extra": 0, "doubled": 0, "up_to": 7});
        let rows = [
            row(
                json!({"record_type": "audit_log", "table": "agent_audit_log", "parity": parity(0), "parity_unknown": null}),
            ),
            row(
                json!({"record_type": "project_build", "table": "builds", "parity": parity(2), "parity_unknown": null}),
            ),
            row(
                json!({"record_type": "agent_health", "table": "health", "parity": null, "parity_unknown": "no answer"}),
            ),
        ];
        assert_eq!(
            anstream::adapter::strip_str(&text(&rows, None)).to_string(),
            "\
STRAND    TABLE   MISSING  CHANGED  EXTRA  DOUBLED  UNKNOWN BECAUSE
agents/a  builds  2        0        0      0
agents/a  health  -        -        -      -        no answer
"
        );
        assert_eq!(
            text(&rows[..1], None),
            "Supabase has what the strands say.\n"
        );
    }

    #[test]
    fn a_repair_that_leaves_something_says_what_to_do() {
        let mut sum = Repaired::default();
        sum.add(Repaired {
            found: 3,
            sent: 2,
            beyond_repair: 1,
            reason: None,
        });
        assert!(sum.is_open());
        assert!(sum.text(None).starts_with(
            "3 differed: 2 sent again, 1 beyond repair\nnext: the mirror may not delete"
        ));
    }
}
