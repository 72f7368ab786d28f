//! What the sidecars report themselves. Pure.

use std::sync::Arc;

use boboyka_crds::BoboykaStrand;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::reason::ConditionType;

/// A condition that the sidecars report: false if one of them says so.
pub(super) fn reported(facts: &Facts<'_>, kind: ConditionType) -> Option<Finding> {
    let strands = facts.seen.strands.iter();
    let held = strands.filter(|strand| strand.spec.holder.is_some());
    let said = held.filter_map(|strand| {
        let mut conditions = strand.report()?.conditions.iter();
        let condition = conditions.find(|one| one.type_ == kind.as_str())?;
        Some((strand, condition))
    });
    let said: Vec<(&Arc<BoboykaStrand>, &Condition)> = said.collect();
    let no: Vec<_> = said
        .iter()
        .filter(|(_, one)| one.status == "False")
        .collect();
    let Some((_, first)) = no.first() else {
        let yes = said.iter().find(|(_, one)| one.status == "True");
        let (_, any) = yes.or(said.first())?;
        let all = "every sidecar reports this".to_owned();
        return Some(Finding {
            holds: yes.map(|_| true),
            reason: any.reason.clone(),
            message: Some(any.message.clone())
                .filter(|one| !one.is_empty())
                .unwrap_or(all),
        });
    };
    let told = no
        .iter()
        .map(|(strand, one)| format!("{}: {}", strand.name_any(), one.message));
    let told: Vec<String> = told.collect();
    Some(Finding {
        holds: Some(false),
        reason: first.reason.clone(),
        message: some_of(&told),
    })
}
