//! A phase change that waits, with its gates as the operator states them. Pure: it knows no gate by name.

use boboyka_crds::Transition;
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
    let closed = transition.gates.iter().filter(|gate| !gate.passed).count();
    let since = transition
        .since
        .as_ref()
        .map(|since| age::short(age::seconds(since, now)));
    let since = since.map(|age| format!(" since {age}")).unwrap_or_default();
    let sentence = format!(
        "{of}: {} waits{since} for {closed} of {} gates",
        transition.to,
        transition.gates.len()
    );
    paragraph(&sentence, 0, width) + &table(transition).render(width)
}

fn table(transition: &Transition) -> Table {
    let mut table = Table::new(&[]).indented(2);
    let mut gates: Vec<_> = transition.gates.iter().collect();
    gates.sort_by_key(|gate| gate.passed);
    for gate in gates {
        let state = if gate.passed {
            Cell::new("passed", Look::Good)
        } else {
            Cell::new("closed", Look::Bad)
        };
        table.row([state, Cell::from(&gate.name), Cell::from(&gate.message)]);
    }
    table
}
