//! A phase change that waits, with its gates as the operator states them. Pure: it knows no gate by name.

use boboyka_crds::{Gate, Transition};
use k8s_openapi::jiff::Timestamp;

use crate::age;
use crate::table::{Cell, Look, Table, paragraph};

/// Writes the change and its gates, the closed ones first.
pub(crate) fn text(
    of: &str,
    transition: &Transition,
    now: Timestamp,
    width: Option<usize>,
) -> String {
    let closed = transition.closed().count();
    let since = transition
        .since
        .as_ref()
        .map(|since| age::short(age::seconds(since, now)));
    let since = since.map(|age| format!(" since {age}")).unwrap_or_default();
    let sentence = format!(
        "{of}: {} waits{since} for {closed} of {} gates",
        transition.goal(),
        transition.gates.len()
    );
    let mut text = paragraph(&sentence, 0, width);
    if let Some(by) = &transition.by {
        text += &paragraph(&format!("requested by {by}"), 2, width);
    }
    if transition.paused {
        text += &paragraph(
            "it is paused: nothing changes until spec.migration.pause is false",
            2,
            width,
        );
    }
    if let Some(notice) = &transition.notice {
        text += &paragraph(notice, 2, width);
    }
    text + &table(transition).render(width)
}

fn table(transition: &Transition) -> Table {
    let mut table = Table::new(&[]).indented(2);
    let mut gates: Vec<_> = transition.gates.iter().collect();
    gates.sort_by_key(|gate| gate.is_open());
    for gate in gates {
        table.row([
            state(gate),
            Cell::from(&gate.name),
            Cell::from(&gate.message),
        ]);
    }
    table
}

fn state(gate: &Gate) -> Cell {
    let look = match (gate.passed, gate.forced) {
        (true, _) => Look::Good,
        (false, true) => Look::Odd,
        (false, false) => Look::Bad,
    };
    Cell::new(gate.state(), look)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_says_who_asked_for_it_what_is_forced_and_that_it_is_paused() {
        let transition: Transition = serde_json::from_value(json!({
            "from": "CutOver", "to": "CutOver", "generation": 3, "by": "jane", "paused": true, "finalizes": true,
            "notice": "there is no way back after this",
            "gates": [
                {"name": "Parity", "passed": false, "forced": true, "message": "2 rows differ"},
                {"name": "Soak", "passed": false, "message": "held for 3h of 24h"},
            ],
        }))
        .unwrap();
        let written = text(
            "agents/boboyka",
            &transition,
            Timestamp::UNIX_EPOCH,
            Some(80),
        );
        assert_eq!(
            anstream::adapter::strip_str(&written).to_string(),
            "\
agents/boboyka: the end of the migration waits for 1 of 2 gates
  requested by jane
  it is paused: nothing changes until spec.migration.pause is false
  there is no way back after this
  closed  Soak    held for 3h of 24h
  forced  Parity  2 rows differ
"
        );
    }
}
