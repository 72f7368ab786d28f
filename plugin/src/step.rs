//! The phase of an integration and what a change of it needs: what `phase` shows. Pure.

use boboyka_crds::Phase;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::fleet::Integration;
use crate::gates;
use crate::standing::{Standing, State};
use crate::table::paragraph;

/// How many strands a sentence names.
const NAMED: usize = 5;

/// What `phase` shows.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    #[serde(flatten)]
    pub(crate) integration: Integration,
    /// The phases that come into force one after another, if this change is asked for.
    pub(crate) way: Vec<Phase>,
    /// Strands that will keep a gate closed, as they stand.
    pub(crate) obstacles: Vec<Standing>,
}

impl Step {
    /// What a change to `to` needs; without `to`, what the phase that is asked for needs.
    pub(crate) fn new(integration: Integration, to: Option<Phase>, strands: Vec<Standing>) -> Self {
        let to = to.unwrap_or(integration.requested);
        let way = way(integration.phase.unwrap_or(to), to);
        let is_forward = integration.phase.is_some_and(|phase| phase < to);
        let in_the_way = |one: &Standing| {
            let its = one.namespace == integration.namespace && one.integration == integration.name;
            // Nobody compares tables for a step without `spec.migration`.
            let counts = one.state != State::Differs || integration.migration.is_some();
            its && (one.state.is_wrong() && counts || one.backlog > 0)
        };
        let obstacles = strands
            .into_iter()
            .filter(|one| is_forward && in_the_way(one))
            .collect();
        Self {
            integration,
            way,
            obstacles,
        }
    }

    /// Whether the phase that is asked for is in force.
    pub(crate) fn is_there(&self) -> bool {
        let one = &self.integration;
        one.current && one.phase == Some(one.requested) && one.transition.is_none()
    }

    /// Why the phase is not in force yet, in a sentence.
    pub(crate) fn waits_for(&self) -> String {
        if !self.integration.current {
            return "the operator has not processed the change yet".to_owned();
        }
        let gates = self
            .integration
            .transition
            .iter()
            .flat_map(|one| &one.gates);
        let closed = gates.filter(|gate| !gate.is_open());
        let closed: Vec<String> = closed
            .map(|gate| format!("{}: {}", gate.name, gate.message))
            .collect();
        if closed.is_empty() {
            self.integration.message.clone()
        } else {
            closed.join("; ")
        }
    }

    /// The step as people read it.
    pub(crate) fn text(&self, now: Timestamp, width: Option<usize>) -> String {
        let one = &self.integration;
        let phase = one.phase.map_or("no phase", Phase::as_str);
        let mut text = paragraph(
            &format!("{}: {phase} is in force", one.full_name()),
            0,
            width,
        );
        match &one.transition {
            Some(transition) => text += &gates::text(&one.full_name(), transition, now, width),
            None if !self.is_there() => {
                text += &paragraph(
                    &format!("{} is asked for: {}", one.requested, self.waits_for()),
                    0,
                    width,
                );
            }
            None => {}
        }
        text
    }

    /// What a change would do, as people read it.
    pub(crate) fn plan(&self, width: Option<usize>) -> String {
        let one = &self.integration;
        let phase = one.phase.map_or("no phase", Phase::as_str);
        let way: Vec<&str> = self.way.iter().map(|phase| phase.as_str()).collect();
        let Some(last) = way.last() else {
            return paragraph(
                &format!(
                    "{}: {phase} is in force already; nothing would change",
                    one.full_name()
                ),
                0,
                width,
            );
        };
        let sentence = format!(
            "{}: from {phase} to {last}, in this order: {}",
            one.full_name(),
            way.join(", ")
        );
        let mut text = paragraph(&sentence, 0, width);
        if self.obstacles.is_empty() {
            return text
                + &paragraph(
                    "no strand is in the way as they stand; the operator looks at every gate anew",
                    2,
                    width,
                );
        }
        for strand in self.obstacles.iter().take(NAMED) {
            let why = Some(&strand.why).filter(|why| !why.is_empty()).cloned();
            let why =
                why.unwrap_or_else(|| format!("{} records wait for Supabase", strand.backlog));
            text += &paragraph(
                &format!("in the way: {} ({:?}: {why})", strand.name, strand.state),
                2,
                width,
            );
        }
        if self.obstacles.len() > NAMED {
            text += &paragraph(
                &format!("and {} more", self.obstacles.len() - NAMED),
                2,
                width,
            );
        }
        text
    }
}

/// The phases between two, without the first.
fn way(from: Phase, to: Phase) -> Vec<Phase> {
    std::iter::successors(from.step_to(to), |phase| phase.step_to(to)).collect()
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
    use serde_json::{Value, json};

    use super::*;
    use crate::standing::standing;

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn integration(phase: &str, requested: &str, more: &Value) -> Integration {
        let mut status = json!({"observedGeneration": 2, "phase": phase});
        status
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let integration: BoboykaIntegration = serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka", "namespace": "agents", "generation": 2},
            "spec": {"phase": requested}, "status": status,
        }))
        .unwrap();
        Integration::new(&integration)
    }

    fn strand(backlog: i64) -> Standing {
        let strand: BoboykaStrand = serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": "boboyka-a1", "namespace": "agents"},
            "spec": {"integration": "boboyka", "holder":
                {"token": "t", "podName": "p", "podUid": "u", "since": "2026-01-01T11:00:00Z"}},
            "status": {"podUid": "u", "reportedAt": "2026-01-01T11:59:59Z", "ready": true, "lanes": [], "backlog": backlog},
        }))
        .unwrap();
        standing(&strand, None, now())
    }

    #[test]
    fn a_dry_run_names_the_way_and_what_is_in_it() {
        let to = Some(Phase::CutOver);
        let step = Step::new(
            integration("DualWrite", "DualWrite", &json!({})),
            to,
            vec![strand(3)],
        );
        assert_eq!(
            step.plan(None),
            "agents/boboyka: from DualWrite to CutOver, in this order: MigrateInternals, CutOver\n\
             \x20 in the way: boboyka-a1 (Ready: 3 records wait for Supabase)\n"
        );
        let step = Step::new(
            integration("CutOver", "CutOver", &json!({})),
            Some(Phase::DualWrite),
            vec![strand(3)],
        );
        assert!(step.plan(None).contains(
            "from CutOver to DualWrite, in this order: DualWrite\n  no strand is in the way"
        ));
        let step = Step::new(
            integration("CutOver", "CutOver", &json!({})),
            to,
            Vec::new(),
        );
        assert!(step.plan(None).contains("CutOver is in force already"));
    }

    #[test]
    fn a_change_that_waits_shows_gates_of_any_name() {
        let waits = json!({"transition": {"from": "DualWrite", "to": "MigrateInternals", "generation": 2,
            "gates": [{"name": "OfTomorrow", "passed": false, "message": "not yet"}]}});
        let step = Step::new(
            integration("DualWrite", "MigrateInternals", &waits),
            None,
            Vec::new(),
        );
        assert!(!step.is_there());
        assert_eq!(step.waits_for(), "OfTomorrow: not yet");
        let written = anstream::adapter::strip_str(&step.text(now(), Some(80))).to_string();
        assert_eq!(
            written,
            "agents/boboyka: DualWrite is in force\n\
             agents/boboyka: MigrateInternals waits for 1 of 1 gates\n\
             \x20 closed  OfTomorrow  not yet\n"
        );
    }

    #[test]
    fn a_change_that_no_operator_has_seen_is_not_there() {
        let unseen = integration("DualWrite", "DualWrite", &json!({"observedGeneration": 1}));
        let step = Step::new(unseen, None, Vec::new());
        assert!(!step.is_there());
        assert_eq!(
            step.waits_for(),
            "the operator has not processed the change yet"
        );
    }
}
