//! What of a change of status is worth telling: which Events it makes, and whether it can wait. Pure.

mod backfill;
mod migration;

use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_crds::{
    Gate, IntegrationStatus, LegalHold, Lists, MigrationStatus, Transition, migrated,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::reason::{ConditionType, Reason, again};

/// The API server accepts notes of up to 1024 characters.
const NOTE_MAX: usize = 1000;
/// What every start and every rollout brings with it.
const ORDINARY: [Reason; 4] = [
    Reason::SidecarsNotReady,
    Reason::ArchiveNotReported,
    Reason::RollingOut,
    Reason::PhaseAdvancing,
];
/// The action of an Event about a phase.
const TRANSITION: &str = "Transition";
/// The action of an Event about a backfill.
const BACKFILL: &str = "Backfill";
/// What happened or somebody did, and does not only stand so: each time with another note.
const HAPPENED: [Reason; 13] = [
    Reason::PhaseInForce,
    Reason::GatesForced,
    Reason::MigrationPaused,
    Reason::MigrationEnds,
    Reason::MigrationFinalized,
    Reason::LegacyProjectsChanged,
    Reason::LegacyProjectMigrated,
    Reason::LegalHold,
    Reason::LegalHoldLifted,
    Reason::Fenced,
    Reason::StillHeld,
    Reason::BackfillDone,
    Reason::BackfillFailed,
];

/// How long a status that differs only in counters waits, so that a busy fleet costs the API server little. `None`: write
/// it now. `since_written` is the time since the last write, `pace` the time between two.
pub(super) fn wait(
    before: &IntegrationStatus,
    after: &IntegrationStatus,
    since_written: Option<Duration>,
    pace: Duration,
) -> Option<Duration> {
    let left = pace.checked_sub(since_written?)?;
    is_counters_only(before, after).then_some(left)
}

/// Whether two statuses differ in nothing that anybody waits for.
fn is_counters_only(before: &IntegrationStatus, after: &IntegrationStatus) -> bool {
    let without_counters = |status: &IntegrationStatus| IntegrationStatus {
        records: 0,
        records_by_type: BTreeMap::new(),
        backlog: 0,
        lag: None,
        unmirrored: None,
        unmirrored_bytes: None,
        archive: None,
        conditions: Vec::new(),
        migration: status.migration.clone().map(|migration| MigrationStatus {
            backfill: migration.backfill.as_ref().map(backfill::without_counters),
            ..migration
        }),
        ..status.clone()
    };
    without_counters(before) == without_counters(after) && verdicts(before) == verdicts(after)
}

/// What the conditions say, without their messages. Whether the mirror has caught up at this moment is a counter too.
fn verdicts(status: &IntegrationStatus) -> Vec<(&str, &str, &str)> {
    let conditions = status.conditions.iter();
    let kept = conditions.filter(|one| {
        one.type_ != ConditionType::MirrorCaughtUp.as_str()
            || one.reason == Reason::DeadLetters.as_str()
    });
    kept.map(|one| (&*one.type_, &*one.status, &*one.reason))
        .collect()
}

/// Whether an Event tells something else than the one of its reason before.
pub(super) fn is_news_each_time(event: &Event) -> bool {
    HAPPENED.iter().any(|one| one.as_str() == event.reason)
}

/// The Events that a change of status makes.
pub(super) fn events(
    before: &IntegrationStatus,
    after: &IntegrationStatus,
    lists: &Lists,
) -> Vec<Event> {
    let phase = phase_changed(before, after);
    let gate = gate_closed(before, after);
    let migration = migration::events(before, after);
    let conditions = after.conditions.iter();
    let conditions = conditions.filter_map(|one| condition_changed(before, after, one));
    let migration = migration
        .map(|(reason, note)| event(EventType::Warning, TRANSITION, reason.as_str(), &note));
    let lifted = LegalHold::lifted(before.legal_hold.as_ref(), after.legal_hold.as_ref());
    let lifted = lifted.map(|note| {
        let (kind, reason) = (ConditionType::RetentionEnforced, Reason::LegalHoldLifted);
        event(EventType::Warning, kind.as_str(), reason.as_str(), &note)
    });
    let legacy = [
        lists
            .changed(before, after)
            .map(|note| (Reason::LegacyProjectsChanged, note)),
        migrated(before, after).map(|note| (Reason::LegacyProjectMigrated, note)),
    ];
    let legacy = legacy.into_iter().flatten();
    let legacy =
        legacy.map(|(reason, note)| event(EventType::Normal, TRANSITION, reason.as_str(), &note));
    phase
        .into_iter()
        .chain(lifted)
        .chain(migration)
        .chain(backfilled(before, after))
        .chain(legacy)
        .chain(gate)
        .chain(conditions)
        .collect()
}

fn backfilled(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<Event> {
    let (reason, note) = backfill::news(before, after)?;
    let type_ = if reason == Reason::BackfillFailed {
        EventType::Warning
    } else {
        EventType::Normal
    };
    Some(event(type_, BACKFILL, reason.as_str(), &note))
}

fn phase_changed(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<Event> {
    let (from, to) = (before.phase?, after.phase?);
    let by = after.last_change.as_ref().filter(|change| change.to == to);
    let by = by.and_then(|change| Some(format!(", requested by {}", change.by.as_ref()?)));
    let note = format!(
        "the phase changed from {from} to {to}{}",
        by.unwrap_or_default()
    );
    let reason = Reason::PhaseInForce.as_str();
    (from != to).then(|| event(EventType::Normal, TRANSITION, reason, &note))
}

/// Gates that closed, or others than before.
fn gate_closed(before: &IntegrationStatus, after: &IntegrationStatus) -> Option<Event> {
    let transition = after.transition.as_ref()?;
    let names =
        |gates: Vec<&Gate>| -> Vec<String> { gates.iter().map(|gate| gate.name.clone()).collect() };
    if transition.paused || names(closed_gates(before)) == names(closed_gates(after)) {
        return None;
    }
    let note = format!("{} waits: {}", transition.goal(), transition.why());
    let reason = Reason::PhaseGateClosed.as_str();
    Some(event(EventType::Warning, TRANSITION, reason, &note))
}

/// The gates that keep a step from being made. While it is paused, they don't.
fn closed_gates(status: &IntegrationStatus) -> Vec<&Gate> {
    let transition = status.transition.iter().filter(|it| !it.paused);
    transition.flat_map(Transition::closed).collect()
}

/// The Event about a condition whose status or reason changed, if it is news.
fn condition_changed(
    before: &IntegrationStatus,
    after: &IntegrationStatus,
    condition: &Condition,
) -> Option<Event> {
    let kind = condition.type_.as_str();
    let is_kind = |one: ConditionType| one.as_str() == kind;
    let mut earlier = before.conditions.iter();
    let was = earlier.find(|one| one.type_ == kind);
    // Each fence is news.
    let is_as_told = |was: &Condition| {
        was.message == condition.message || !is_kind(ConditionType::StrandsUnfenced)
    };
    let is_same = was.is_some_and(|was| {
        was.status == condition.status && was.reason == condition.reason && is_as_told(was)
    });
    // These change with every batch and every roll-out; others tell why.
    let is_passing = is_kind(ConditionType::MirrorCaughtUp) || is_kind(ConditionType::Reconciling);
    // The transition has an Event of its own, and so has the condition that these sum up.
    let is_told = [Reason::PhaseGateClosed, Reason::MigrationPaused]
        .map(Reason::as_str)
        .contains(&condition.reason.as_str())
        || is_told_by_another(after, condition);
    let is_good = condition.status == "True" && !is_kind(ConditionType::Stalled);
    // A good beginning is no news.
    if is_same || is_passing || is_told || (is_good && was.is_none()) {
        return None;
    }
    let reason = if is_good && condition.reason == Reason::AsExpected.as_str() {
        again(kind)
    } else {
        condition.reason.clone()
    };
    let is_ordinary = ORDINARY.iter().any(|one| one.as_str() == condition.reason);
    let type_ = if is_good || is_ordinary {
        EventType::Normal
    } else {
        EventType::Warning
    };
    Some(event(type_, kind, &reason, &condition.message))
}

/// Whether a condition only sums up another one, which tells the same.
fn is_told_by_another(after: &IntegrationStatus, condition: &Condition) -> bool {
    // From the one that sums up most.
    let order = [ConditionType::Ready, ConditionType::Stalled].map(ConditionType::as_str);
    let rank = |one: &Condition| order.iter().position(|kind| *kind == one.type_);
    let rank_of = |one: &Condition| rank(one).unwrap_or(order.len());
    after.conditions.iter().any(|one| {
        one.reason == condition.reason
            && rank_of(one) > rank_of(condition)
            && one.type_ != ConditionType::Reconciling.as_str()
            && (one.status != "True" || one.type_ == ConditionType::Stalled.as_str())
    })
}

fn event(type_: EventType, action: &str, reason: &str, note: &str) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note.chars().take(NOTE_MAX).collect()),
        action: action.to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests;
