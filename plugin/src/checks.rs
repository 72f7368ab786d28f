//! The checks before and after an installation, in a list: a new check is a function and a line. Pure.

mod after;
mod before;
mod judgement;
mod running;
mod seen;

use serde::Serialize;

pub(crate) use self::judgement::Outcome;
pub(crate) use self::seen::{Seen, Trial};
use crate::table::{Cell, Look, Table, paragraph};
use judgement::{Judge, Judgement};

/// What must hold for a check to make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Part {
    /// Always.
    Cluster,
    /// The product is to be installed.
    Installing,
    /// The product is installed.
    Installed,
}

/// The checks: name, part, judge.
const CHECKS: &[(&str, Part, Judge)] = &[
    ("api-server", Part::Cluster, before::api_server),
    (
        "kubernetes-version",
        Part::Cluster,
        before::kubernetes_version,
    ),
    (
        "admission-policies",
        Part::Cluster,
        before::admission_policies,
    ),
    ("nodes", Part::Cluster, before::nodes),
    ("storage-class", Part::Cluster, before::storage_class),
    ("volume-expansion", Part::Cluster, before::volume_expansion),
    ("may-create-definitions", Part::Installing, |seen| {
        before::may(seen, "customresourcedefinitions")
    }),
    ("may-create-roles", Part::Installing, |seen| {
        before::may(seen, "clusterroles")
    }),
    ("may-bind-roles", Part::Installing, |seen| {
        before::may(seen, "clusterrolebindings")
    }),
    ("may-create-webhook", Part::Installing, |seen| {
        before::may(seen, "mutatingwebhookconfigurations")
    }),
    ("may-create-policies", Part::Installing, |seen| {
        before::may(seen, "validatingadmissionpolicies")
    }),
    ("may-create-deployment", Part::Installing, |seen| {
        before::may(seen, "deployments")
    }),
    ("definitions", Part::Installed, after::definitions),
    (
        "definitions-current",
        Part::Installed,
        after::definitions_current,
    ),
    ("operator", Part::Installed, after::operator),
    ("operator-version", Part::Installed, after::operator_version),
    ("leader", Part::Installed, after::leader),
    ("webhook", Part::Installed, after::webhook),
    ("webhook-service", Part::Installed, after::webhook_service),
    ("webhook-answers", Part::Installed, after::webhook_answers),
    ("policies", Part::Installed, after::policies),
    ("sidecar-role", Part::Installed, after::sidecar_role),
    ("integrations", Part::Installed, running::integrations),
    ("strands", Part::Installed, running::strands),
    (
        "pods-have-sidecars",
        Part::Installed,
        running::pods_have_sidecars,
    ),
    (
        "sidecars-current",
        Part::Installed,
        running::sidecars_current,
    ),
];

/// One check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
    pub(crate) outcome: Outcome,
    /// What was found.
    pub(crate) message: String,
    /// How to mend it; empty when nothing is to be mended.
    pub(crate) mend: String,
}

/// Judges everything that makes sense: before an installation, or of one that is there.
pub(crate) fn run(seen: &Seen, before: bool) -> Vec<Check> {
    let wanted = move |part: Part| match part {
        Part::Cluster => true,
        Part::Installing => before,
        Part::Installed => !before,
    };
    let checks = CHECKS.iter().filter(|(_, part, _)| wanted(*part));
    let judged = checks.map(|(name, part, judge)| {
        let Judgement {
            outcome,
            message,
            mend,
        } = judge(seen).unwrap_or_else(|judgement| judgement);
        Check {
            name,
            part: *part,
            outcome,
            message,
            mend,
        }
    });
    judged.collect()
}

/// The number of checks with an outcome.
pub(crate) fn count(checks: &[Check], outcome: Outcome) -> usize {
    checks
        .iter()
        .filter(|check| check.outcome == outcome)
        .count()
}

/// Writes the checks, each with how to mend it, and the sum.
pub(crate) fn text(checks: &[Check], width: Option<usize>) -> String {
    let mut text = String::new();
    for check in checks {
        let mut table = Table::new(&[]);
        table.row([
            mark(check.outcome),
            Cell::from(format!("{}: {}", check.name, check.message)),
        ]);
        text += &table.render(width);
        if !check.mend.is_empty() {
            text += &paragraph(&format!("mend: {}", check.mend), 9, width);
        }
    }
    let of = |outcome| count(checks, outcome);
    text + &format!(
        "\n{} passed, {} warned, {} failed, {} skipped\n",
        of(Outcome::Passed),
        of(Outcome::Warned),
        of(Outcome::Failed),
        of(Outcome::Skipped)
    )
}

fn mark(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Passed => Cell::new("passed ", Look::Good),
        Outcome::Warned => Cell::new("warned ", Look::Odd),
        Outcome::Failed => Cell::new("failed ", Look::Bad),
        Outcome::Skipped => Cell::new("skipped", Look::Faint),
    }
}

#[cfg(test)]
mod tests;
