//! Telling: the status when it changed, and an Event when a condition or the phase did.
//!
//! Counters that moved are no news: they are written at a pace, so that a busy fleet costs the API server little.

use std::time::{Duration, Instant};

use boboyka_crds::{BoboykaIntegration, IntegrationStatus, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::json;

use super::{Error, Leader, Memory, status};

/// An Event's note may be so long.
const NOTE_MAX: usize = 1000;

impl Leader {
    /// Writes the status if there is something new in it; how soon to look again if it was put off.
    pub(super) async fn publish(
        &self,
        integration: &BoboykaIntegration,
        before: &IntegrationStatus,
        status: IntegrationStatus,
        memory: &mut Memory,
    ) -> Result<Option<Duration>, Error> {
        if *before == status {
            return Ok(None);
        }
        let pace = status::pace(self.caches.integrations.len());
        let since = memory.written.map(|at| at.elapsed());
        if let Some(left) = since.and_then(|since| pace.checked_sub(since))
            && is_counters_only(before, &status)
        {
            return Ok(Some(left));
        }
        let name = integration.name_any();
        let namespace = integration.namespace().unwrap_or_default();
        let api: Api<BoboykaIntegration> = Api::namespaced(self.client.clone(), &namespace);
        let wanted = json!({
            "apiVersion": BoboykaIntegration::api_version(&()), "kind": BoboykaIntegration::kind(&()),
            // With the version that was read: what was decided on an older status must not undo a newer one.
            "metadata": {
                "name": name, "uid": integration.metadata.uid,
                "resourceVersion": integration.metadata.resource_version,
            },
            "status": status,
        });
        let parameters = PatchParams::apply(names::OPERATOR_MANAGER).force();
        match api
            .patch_status(&name, &parameters, &Patch::Apply(&wanted))
            .await
        {
            Ok(_) => memory.written = Some(Instant::now()),
            // Deleted, made anew or changed meanwhile: the change has it looked at again.
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => {
                return Ok(None);
            }
            Err(error) => return Err(Error::Publish(Box::new(error))),
        }
        for event in events(before, &status) {
            // An Event that is lost is told by the condition.
            if let Err(error) = self
                .recorder
                .publish(&event, &integration.object_ref(&()))
                .await
            {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    namespace,
                    integration = name,
                    error,
                    "could not write an Event of {name}"
                );
            }
        }
        Ok(None)
    }
}

/// Whether two statuses differ in nothing that somebody waits for.
fn is_counters_only(before: &IntegrationStatus, after: &IntegrationStatus) -> bool {
    let quiet = |status: &IntegrationStatus| IntegrationStatus {
        records: 0,
        records_by_type: std::collections::BTreeMap::new(),
        backlog: 0,
        lag: None,
        conditions: Vec::new(),
        ..status.clone()
    };
    let said = |status: &IntegrationStatus| -> Vec<(String, String, String)> {
        let of = |one: &Condition| (one.type_.clone(), one.status.clone(), one.reason.clone());
        // Whether the mirror has caught up this moment is a counter too.
        let kept = status
            .conditions
            .iter()
            .filter(|one| one.type_ != "MirrorCaughtUp" || one.reason == "DeadLetters");
        kept.map(of).collect()
    };
    quiet(before) == quiet(after) && said(before) == said(after)
}

fn events(before: &IntegrationStatus, after: &IntegrationStatus) -> Vec<Event> {
    let mut events = Vec::new();
    if let (Some(from), Some(to)) = (before.phase, after.phase)
        && from != to
    {
        let note = format!("{to} is in force, after {from}");
        events.push(event(
            EventType::Normal,
            "Transition",
            "PhaseInForce",
            &note,
        ));
    }
    let closed = |status: &IntegrationStatus| -> Vec<String> {
        let gates = status
            .transition
            .iter()
            .flat_map(|transition| &transition.gates);
        gates
            .filter(|gate| !gate.passed)
            .map(|gate| gate.name.clone())
            .collect()
    };
    if let Some(transition) = after
        .transition
        .as_ref()
        .filter(|_| closed(before) != closed(after))
    {
        let gates = transition.gates.iter().filter(|gate| !gate.passed);
        let told: Vec<String> = gates
            .map(|gate| format!("{}: {}", gate.name, gate.message))
            .collect();
        let note = format!("{} waits: {}", transition.to, told.join("; "));
        events.push(event(
            EventType::Warning,
            "Transition",
            "PhaseGateClosed",
            &note,
        ));
    }
    for condition in &after.conditions {
        let was = before
            .conditions
            .iter()
            .find(|one| one.type_ == condition.type_);
        let same =
            was.is_some_and(|was| was.status == condition.status && was.reason == condition.reason);
        let passing = matches!(condition.type_.as_str(), "MirrorCaughtUp" | "Reconciling");
        let good = condition.status == "True" && condition.type_ != "Stalled";
        // A beginning that is as it should be is no news.
        if same || passing || (good && was.is_none()) || condition.reason == "PhaseGateClosed" {
            continue;
        }
        let kind = if good {
            EventType::Normal
        } else {
            EventType::Warning
        };
        let reason = if good && condition.reason == "AsExpected" {
            format!("{}Again", condition.type_)
        } else {
            condition.reason.clone()
        };
        events.push(event(kind, &condition.type_, &reason, &condition.message));
    }
    events
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
