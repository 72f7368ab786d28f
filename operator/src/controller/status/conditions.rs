//! Conditions by type: the time of a transition stays while the status stays. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::finding::Finding;
use crate::reason::ConditionType;

/// Longer messages are cut: people read them in a terminal.
const MESSAGE_MAX: usize = 1024;

/// The conditions of a status, on the way from those before.
pub(super) struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: &'a Time,
    list: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    pub(super) fn after(before: &'a [Condition], generation: Option<i64>, now: &'a Time) -> Self {
        Self {
            before,
            generation,
            now,
            list: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, kind: ConditionType, finding: Finding) {
        let status = match finding.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let mut before = self.before.iter();
        let same = before.find(|one| one.type_ == kind.as_str() && one.status == status);
        let since = same.map_or(self.now, |one| &one.last_transition_time);
        self.list.push(Condition {
            type_: kind.to_string(),
            status: status.to_owned(),
            reason: finding.reason,
            message: finding.message.chars().take(MESSAGE_MAX).collect(),
            observed_generation: self.generation,
            last_transition_time: since.clone(),
        });
    }

    /// The conditions, sorted by type so that equal conditions are equal lists.
    pub(super) fn list(mut self) -> Vec<Condition> {
        self.list.sort_by(|a, b| a.type_.cmp(&b.type_));
        self.list
    }
}
