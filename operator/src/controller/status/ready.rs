//! The conditions that sum up all others. Pure.
//!
//! [`OBSTACLES`] has what keeps an integration from being ready: a new obstacle is a function and a line in the list.

use super::chain::chain_intact;
use super::facts::Facts;
use super::finding::Finding;
use super::legacy::legacy_projects_read;
use super::reported::reported;
use super::sidecars::{rollout_stopped, sidecar_missing, sidecars_not_ready};
use super::storage::volume_pending;
use super::workloads::workloads_selected;
use crate::reason::{ConditionType, Reason};

/// What keeps an integration from being ready; the first that is found is the reason.
const OBSTACLES: &[fn(&Facts<'_>) -> Option<Finding>] = &[
    rollout_stopped,
    not_applied,
    |facts| chain_intact(facts).objection(),
    |facts| reported(facts, ConditionType::CredentialsAccepted)?.objection(),
    |facts| workloads_selected(facts)?.objection(),
    |facts| legacy_projects_read(facts)?.objection(),
    phase_gate_closed,
    phase_advancing,
    sidecar_missing,
    volume_pending,
    sidecars_not_ready,
];

/// Whether nothing is in the way.
pub(super) fn ready(facts: &Facts<'_>) -> Finding {
    obstacle(facts).unwrap_or_else(|| match facts.tally.strands.held {
        0 => Finding::yes(Reason::NoPods, "no pod of this integration runs"),
        held => Finding::yes(
            Reason::AsExpected,
            match held {
                1 => "a pod holds 1 strand, and its sidecar is ready".to_owned(),
                _ => format!("pods hold {held} strands, and all their sidecars are ready"),
            },
        ),
    })
}

fn obstacle(facts: &Facts<'_>) -> Option<Finding> {
    OBSTACLES.iter().find_map(|check| check(facts))
}

/// The integration is not ready, and gets ready without anybody's help.
pub(super) fn reconciling(facts: &Facts<'_>) -> Option<Finding> {
    let strands = &facts.tally.strands;
    let is_under_way = facts.standing.transition.is_some()
        || strands.ready < strands.held
        || !facts.is_in_phase()
        || !facts.applied.failures().is_empty();
    let obstacle = obstacle(facts).filter(|_| is_under_way && stalled(facts).is_none());
    obstacle.map(Finding::into_true)
}

/// Whether somebody must act before anything goes on.
pub(super) fn stalled(facts: &Facts<'_>) -> Option<Finding> {
    // Nothing mends a broken chain by itself.
    let finding = rollout_stopped(facts).or_else(|| chain_intact(facts).objection());
    finding.map(Finding::into_true)
}

fn not_applied(facts: &Facts<'_>) -> Option<Finding> {
    let failure = facts.applied.failures().first()?;
    Some(Finding::no(Reason::NotApplied, failure))
}

fn phase_gate_closed(facts: &Facts<'_>) -> Option<Finding> {
    let transition = facts.standing.transition.as_ref()?;
    let reason = if transition.paused {
        Reason::MigrationPaused
    } else {
        Reason::PhaseGateClosed
    };
    let why = format!("{} waits: {}", transition.goal(), transition.why());
    Some(Finding::no(reason, why))
}

fn phase_advancing(facts: &Facts<'_>) -> Option<Finding> {
    let (from, to) = (facts.standing.phase, facts.validated.phase);
    (!facts.is_in_phase() && !facts.validated.suspended).then(|| {
        Finding::no(
            Reason::PhaseAdvancing,
            format!("{from} is in force, on the way to {to}"),
        )
    })
}
