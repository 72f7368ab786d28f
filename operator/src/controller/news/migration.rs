//! What of a migration is told beside its gates: a pause, forced gates, the end and what it makes irreversible. Pure.

use boboyka_crds::{IntegrationStatus, Transition};

use crate::reason::Reason;

/// What a change of status tells, each with its reason.
pub(super) fn events(
    before: &IntegrationStatus,
    after: &IntegrationStatus,
) -> impl Iterator<Item = (Reason, String)> {
    let all = [
        paused(before, after).map(|note| (Reason::MigrationPaused, note)),
        announced(before, after).map(|note| (Reason::MigrationEnds, note)),
        forced(before, after).map(|note| (Reason::GatesForced, note)),
        ended(before, after).map(|note| (Reason::MigrationFinalized, note)),
    ];
    all.into_iter().flatten()
}

fn paused(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<String> {
    let is_paused = |status: &IntegrationStatus| {
        let waits = status.transition.as_ref();
        waits.filter(|it| it.paused).map(Transition::goal)
    };
    let goal = is_paused(after).filter(|_| is_paused(before).is_none())?;
    Some(format!("{goal} waits: spec.migration.pause is true"))
}

fn announced(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<String> {
    let notice = |status: &IntegrationStatus| status.transition.as_ref()?.notice.clone();
    let said = notice(after).filter(|_| notice(before).is_none())?;
    Some(format!(
        "spec.migration.finalized is true, and once every gate has passed, {said}"
    ))
}

fn forced(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<String> {
    let change = after.last_change.as_ref();
    let change = change.filter(|_| before.last_change != after.last_change)?;
    let force = change.force.as_ref()?;
    let closed = change.gates.iter().filter(|gate| gate.forced);
    let closed: Vec<_> = closed
        .map(|gate| format!("{}: {}", gate.name, gate.message))
        .collect();
    let by = force.by.as_deref().unwrap_or("somebody");
    Some(format!(
        "{by} forced {} ({}) although {}",
        change.to,
        force.reason,
        closed.join("; ")
    ))
}

fn ended(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<String> {
    let end = after
        .finalized
        .as_ref()
        .filter(|_| before.finalized.is_none())?;
    let by = end.by.as_deref().unwrap_or("somebody");
    Some(format!(
        "the migration is final, requested by {by}: there is no way back to an earlier phase"
    ))
}
