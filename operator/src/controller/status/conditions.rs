//! Conditions as a map by type: the time of a transition stays while the status stays.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The API server takes messages of up to this length.
const MESSAGE_MAX: usize = 1024;

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Verdict {
    pub(super) fn yes(reason: &str, message: &str) -> Self {
        Self {
            holds: true,
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    pub(super) fn no(reason: &str, message: &str) -> Self {
        Self {
            holds: false,
            ..Self::yes(reason, message)
        }
    }
}

/// The conditions of one status, on the way from those before.
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

    pub(super) fn set(&mut self, kind: &str, verdict: Verdict) {
        let status = if verdict.holds { "True" } else { "False" };
        let before = self
            .before
            .iter()
            .find(|one| one.type_ == kind && one.status == status);
        let message: String = verdict.message.chars().take(MESSAGE_MAX).collect();
        self.list.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason,
            message,
            observed_generation: self.generation,
            last_transition_time: before
                .map_or_else(|| self.now.clone(), |one| one.last_transition_time.clone()),
        });
    }

    /// The first of these that does not hold.
    pub(super) fn first_false(&self, kinds: &[&str]) -> Option<Verdict> {
        let no = self
            .list
            .iter()
            .find(|one| kinds.contains(&one.type_.as_str()) && one.status == "False")?;
        Some(Verdict::no(&no.reason, &no.message))
    }

    /// Sorted by type, so that equal conditions are equal lists.
    pub(super) fn list(mut self) -> Vec<Condition> {
        self.list.sort_by(|a, b| a.type_.cmp(&b.type_));
        self.list
    }
}
