//! What of a decision is told in the log, as the operator tells it in Events. Pure.

use boboyka_crds::{IntegrationStatus, LegalHold, Lists, Transition, migrated};

/// What is told of a change from one status to the next, with the lists of legacy projects in force.
pub(super) fn lines(
    before: &IntegrationStatus,
    after: &IntegrationStatus,
    lists: &Lists,
) -> Vec<String> {
    let waits = after.transition.as_ref();
    let news = waits.filter(|waits| before.transition.as_ref().map(key) != Some(key(waits)));
    let waits = news.map(|waits| format!("{} waits: {}", waits.goal(), waits.why()));
    let notice = |status: &IntegrationStatus| status.transition.as_ref()?.notice.clone();
    let notice = notice(after).filter(|_| notice(before).is_none());
    let notice = notice.map(|notice| format!("spec.migration.finalized is true: {notice}"));
    let change = after.last_change.as_ref();
    let change = change.filter(|_| before.last_change != after.last_change);
    let force = change.and_then(|change| {
        let force = change.force.as_ref()?;
        let gates: Vec<_> = force.gates.iter().map(ToString::to_string).collect();
        Some(format!(
            "{} came into force without waiting for {}: {}",
            change.to,
            gates.join(", "),
            force.reason
        ))
    });
    let legacy = [lists.changed(before, after), migrated(before, after)];
    let (was, is) = (before.legal_hold.as_ref(), after.legal_hold.as_ref());
    let set = is.filter(|is| is.active && was != Some(*is));
    let hold = set.map(ToString::to_string);
    let hold = hold.or_else(|| LegalHold::lifted(was, is));
    notice
        .into_iter()
        .chain(waits)
        .chain(force)
        .chain(legacy.into_iter().flatten())
        .chain(hold)
        .collect()
}

/// What of a transition is news: what it waits for, and not how far that is.
fn key(waits: &Transition) -> (String, bool, Vec<&str>) {
    let closed = waits.closed().map(|gate| gate.name.as_str());
    (waits.goal(), waits.paused, closed.collect())
}
