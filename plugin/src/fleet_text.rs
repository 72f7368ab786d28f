//! The fleet as people read it. Pure.

use boboyka_crds::BackfillStatus;
use k8s_openapi::jiff::Timestamp;

use crate::fleet::{Fleet, Integration};
use crate::gates;
use crate::standing::{Standing, State};
use crate::table::{Cell, Look, Table, paragraph};

/// Writes the fleet.
pub(crate) fn text(fleet: &Fleet, now: Timestamp, width: Option<usize>) -> String {
    if fleet.integrations.is_empty() && fleet.states.is_empty() {
        return paragraph(
            "There is no BoboykaIntegration here. Look elsewhere with -n or -A, or create one: see docs/install.md.",
            0,
            width,
        );
    }
    let mut text = integrations(fleet).render(width);
    for one in &fleet.integrations {
        text += &remarks(one, width);
        if let Some(transition) = &one.transition {
            text += "\n";
            text += &gates::text(&one.full_name(), transition, now, width);
        }
    }
    text += "\n";
    text += &counts(fleet);
    if !fleet.worst.is_empty() {
        text += "\n";
        text += &worst(&fleet.worst, width);
    }
    text
}

fn integrations(fleet: &Fleet) -> Table {
    let header = [
        "INTEGRATION",
        "PHASE",
        "READY",
        "STRANDS",
        "RECORDS",
        "BACKLOG",
        "LAG",
    ];
    let mut table = Table::new(&header);
    for one in &fleet.integrations {
        table.row([
            Cell::from(one.full_name()),
            Cell::from(one.phase.map_or("-", |phase| phase.as_str())),
            ready(one.ready),
            Cell::from(&one.strands),
            Cell::from(one.records.to_string()),
            Cell::from(one.backlog.to_string()),
            Cell::from(one.lag.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

fn ready(ready: Option<bool>) -> Cell {
    match ready {
        Some(true) => Cell::new("True", Look::Good),
        Some(false) => Cell::new("False", Look::Bad),
        None => Cell::new("Unknown", Look::Odd),
    }
}

/// What is worth a sentence about an integration.
fn remarks(one: &Integration, width: Option<usize>) -> String {
    let mut sentences = Vec::new();
    if one.ready != Some(true) && one.transition.is_none() {
        sentences.push(one.message.clone());
    }
    sentences.extend(one.legacy.clone());
    if one.suspended {
        sentences.push("it is suspended: the operator changes nothing (spec.suspend)".to_owned());
    }
    sentences.extend(one.on_hold());
    sentences.extend(one.unarchived().map(ToOwned::to_owned));
    if !one.current && one.ready.is_some() {
        sentences.push("the operator has not processed its newest specification yet".to_owned());
    }
    sentences.extend(one.backfill.as_ref().map(backfill));
    let sentences = sentences.iter();
    sentences
        .map(|sentence| paragraph(&format!("{}: {sentence}", one.name), 2, width))
        .collect()
}

fn backfill(it: &BackfillStatus) -> String {
    let rows = match it.imported() {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    let end = match (&it.problem, it.done) {
        (Some(problem), _) => format!("; {problem}"),
        (None, true) => ", and is done".to_owned(),
        (None, false) => String::new(),
    };
    format!("the backfill has imported {rows}{end}")
}

fn counts(fleet: &Fleet) -> String {
    let counts = fleet
        .states
        .iter()
        .map(|(state, count)| look(*state).paint(&format!("{count} {state:?}")));
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return "Strands: none\n".to_owned();
    }
    format!("Strands: {}\n", counts.join(", "))
}

fn worst(worst: &[Standing], width: Option<usize>) -> String {
    let mut text = String::new();
    for one in worst {
        let mut table = Table::new(&[]);
        table.row([
            Cell::new(&format!("{:?}", one.state), look(one.state)),
            Cell::from(format!("{}/{}", one.namespace, one.name)),
            Cell::from(
                one.pod
                    .as_ref()
                    .map_or_else(String::new, |pod| format!("pod {pod}")),
            ),
        ]);
        text += &table.render(width);
        text += &paragraph(&one.why, 2, width);
        if !one.next.is_empty() {
            text += &paragraph(&format!("next: {}", one.next), 2, width);
        }
    }
    text
}

/// How a state looks.
pub(crate) fn look(state: State) -> Look {
    if state == State::Ready {
        Look::Good
    } else if state == State::Free {
        Look::Faint
    } else if state.is_wrong() {
        Look::Bad
    } else {
        Look::Odd
    }
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaIntegration, BoboykaStrand, Retention};
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn integration(status: &Value) -> BoboykaIntegration {
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka", "namespace": "agents", "generation": 2},
            "spec": {"phase": "MigrateInternals"}, "status": status,
        }))
        .unwrap()
    }

    fn strand(name: &str, reported: &str, ready: bool) -> BoboykaStrand {
        serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
            "metadata": {"name": name, "namespace": "agents"},
            "spec": {"integration": "boboyka", "holder":
                {"token": "t", "podName": format!("pod-of-{name}"), "podUid": "u", "since": "2026-01-01T11:00:00Z"}},
            "status": {"podUid": "u", "reportedAt": reported, "ready": ready, "lanes": []},
        }))
        .unwrap()
    }

    #[test]
    fn the_fleet_fits_on_80_columns_and_names_the_worst_with_the_next_step() {
        let integration = integration(&json!({
            "observedGeneration": 2, "phase": "DualWrite", "records": 1042, "backlog": 12, "lag": "4s",
            "strands": {"total": 3, "held": 3, "ready": 1, "summary": "1/3"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "PhaseGateClosed", "message": "waits",
                "lastTransitionTime": "2026-01-01T11:00:00Z"}],
            "transition": {"from": "DualWrite", "to": "MigrateInternals", "generation": 2, "since": "2026-01-01T11:55:00Z",
                "gates": [
                    {"name": "Reported", "passed": true, "message": "every running sidecar has reported"},
                    {"name": "OfTomorrow", "passed": false, "message":
                        "boboyka-a1 (12 records wait; audit_log: Supabase does not answer), boboyka-b2 (never counted)"},
                ]},
        }));
        let strands = [
            strand("boboyka-a1", "2026-01-01T11:59:55Z", true),
            strand("boboyka-b2", "2026-01-01T11:50:00Z", true),
            strand("boboyka-c3", "2026-01-01T11:59:55Z", false),
        ];
        let fleet = Fleet::new(&[integration], &strands, now());
        assert!(fleet.is_wrong());
        let written = anstream::adapter::strip_str(&text(&fleet, now(), Some(80))).to_string();
        assert_eq!(
            written,
            "\
INTEGRATION     PHASE      READY  STRANDS  RECORDS  BACKLOG  LAG
agents/boboyka  DualWrite  False  1/3      1042     12       4s

agents/boboyka: MigrateInternals waits since 5m for 1 of 2 gates
  closed  OfTomorrow  boboyka-a1 (12 records wait; audit_log: Supabase does not
                      answer), boboyka-b2 (never counted)
  passed  Reported    every running sidecar has reported

Strands: 1 NotReady, 1 Silent, 1 Ready

NotReady  agents/boboyka-c3  pod pod-of-boboyka-c3
  its sidecar accepts no records
  next: kubectl logs pod-of-boboyka-c3 -n agents -c boboyka-sidecar --tail=20
Silent  agents/boboyka-b2  pod pod-of-boboyka-b2
  its sidecar has not reported for 10m
  next: kubectl boboyka why pod-of-boboyka-b2 -n agents
"
        );
    }

    #[test]
    fn a_legal_hold_is_told_with_who_set_it_and_who_has_not_confirmed_it() {
        let message = "a legal hold keeps every record (spec.retention.hold), set by ann; not confirmed yet by boboyka-1";
        let seen = json!({
            "observedGeneration": 2, "phase": "DualWrite",
            "legalHold": {"active": true, "generation": 2, "since": "2026-01-01T11:00:00Z", "by": "ann"},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "AsExpected", "message": "well",
                    "lastTransitionTime": "2026-01-01T11:00:00Z"},
                {"type": "RetentionEnforced", "status": "False", "reason": "LegalHold", "message": message,
                    "lastTransitionTime": "2026-01-01T11:00:00Z"},
            ],
        });
        let fleet = |status| Fleet::new(&[integration(&status)], &[], now());
        let written = text(&fleet(seen.clone()), now(), None);
        assert!(
            written.contains(&format!("  boboyka: {message}\n")),
            "{written}"
        );
        assert!(
            !fleet(seen.clone()).is_wrong(),
            "it is somebody's intention"
        );
        let json = serde_json::to_value(fleet(seen)).unwrap();
        assert_eq!(json["integrations"][0]["legalHold"]["by"], "ann");

        let mut asked = integration(&json!({"observedGeneration": 1}));
        asked.spec.retention = Some(Retention {
            hold: true,
            ..Retention::default()
        });
        let written = text(&Fleet::new(&[asked], &[], now()), now(), None);
        assert!(
            written.contains("a legal hold is asked for (spec.retention.hold)"),
            "{written}"
        );
    }

    #[test]
    fn an_archive_is_told_of_while_it_fails_or_is_not_known() {
        let fleet = |status: &str| {
            let of = |kind: &str, status: &str, message: &str| {
                json!({"type": kind, "status": status, "reason": "R", "message": message,
                    "lastTransitionTime": "2026-01-01T11:00:00Z"})
            };
            let conditions = [
                of("Ready", "True", "well"),
                of("Archived", status, "b-0 (refused)"),
            ];
            let seen = json!({"observedGeneration": 2, "conditions": conditions});
            Fleet::new(&[integration(&seen)], &[], now())
        };
        for (status, told, wrong) in [
            ("True", false, false),
            ("Unknown", true, false),
            ("False", true, true),
        ] {
            let fleet = fleet(status);
            let written = text(&fleet, now(), None);
            assert_eq!(
                written.contains("  boboyka: b-0 (refused)\n"),
                told,
                "{written}"
            );
            assert_eq!(fleet.is_wrong(), wrong, "{status}");
        }
    }

    #[test]
    fn a_backfill_is_a_line_of_its_integration_and_its_strand_is_counted_nowhere() {
        let with = |backfill: Value| {
            let integration =
                integration(&json!({"observedGeneration": 2, "migration": {"backfill": backfill}}));
            let history = strand("boboyka-history", "2026-01-01T11:00:00Z", false);
            text(&Fleet::new(&[integration], &[history], now()), now(), None)
        };
        let rows = json!({"audit_log": 5, "agent_health": 7});
        for (backfill, line) in [
            (
                json!({"rows": rows}),
                "boboyka: the backfill has imported 12 rows\n",
            ),
            (
                json!({"rows": rows, "done": true}),
                "boboyka: the backfill has imported 12 rows, and is done\n",
            ),
            (
                json!({"rows": {"audit_log": 1}, "problem": "could not read table x"}),
                "boboyka: the backfill has imported 1 row; could not read table x\n",
            ),
        ] {
            let written = with(backfill);
            assert!(
                written.contains(line) && written.ends_with("Strands: none\n"),
                "{written}"
            );
        }
    }

    #[test]
    fn an_integration_that_no_operator_has_seen_says_so() {
        let fleet = Fleet::new(&[integration(&Value::Null)], &[], now());
        let written = text(&fleet, now(), None);
        assert!(fleet.is_wrong());
        assert!(
            written.contains("boboyka: no operator has seen it yet: kubectl boboyka check"),
            "{written}"
        );
        assert!(written.ends_with("Strands: none\n"), "{written}");
    }

    #[test]
    fn an_empty_namespace_says_where_else_to_look() {
        let fleet = Fleet::new(&[], &[], now());
        assert!(!fleet.is_wrong());
        assert!(text(&fleet, now(), None).contains("-A"));
    }

    #[test]
    fn ten_thousand_strands_are_five_lines_of_the_worst() {
        let strands: Vec<_> = (0..10_000)
            .map(|n| strand(&format!("s-{n}"), "2026-01-01T11:00:00Z", true))
            .collect();
        let fleet = Fleet::new(&[], &strands, now());
        assert_eq!(
            (fleet.worst.len(), fleet.states[&State::Silent]),
            (5, 10_000)
        );
    }
}
