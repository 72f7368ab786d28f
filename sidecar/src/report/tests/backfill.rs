//! What is reported of a backfill.

use boboyka_crds::{BackfillReport, ImportedTable};

use super::*;

#[test]
fn that_a_table_is_done_or_refuses_rows_is_told_at_once_and_how_many_in_its_turn() {
    let imported = |rows: i64, refused: i64, done: bool| {
        let table = ImportedTable {
            table: "agent_audit_log".to_owned(),
            rows,
            refused,
            done,
        };
        health(&StrandStatus {
            backfill: Some(BackfillReport {
                tables: [("audit_log".to_owned(), table)].into(),
                ..BackfillReport::default()
            }),
            ..StrandStatus::default()
        })
    };
    let some = imported(500, 1, false);
    assert_eq!(some, imported(1000, 2, false));
    assert_ne!(some, imported(500, 0, false));
    assert_ne!(some, imported(500, 1, true));
}
