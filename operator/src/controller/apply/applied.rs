//! What came of a plan.

use crate::controller::rollout::Rollout;

/// A plan that was applied. Only `apply` makes one, and a status is made from one: it never claims what was not tried.
#[derive(Debug)]
pub(in crate::controller) struct Applied {
    pub(super) rollout: Rollout,
    pub(super) failures: Vec<String>,
    pub(super) contested: Vec<String>,
    pub(super) overlaps: Vec<String>,
}

impl Applied {
    /// The step that the rollout took.
    pub(in crate::controller) fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// The writes that failed, each as `could not DO THIS: CAUSE`.
    pub(in crate::controller) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Workloads that an older integration selects too.
    pub(in crate::controller) fn overlaps(&self) -> &[String] {
        &self.overlaps
    }

    /// Workloads on which another field manager set the label.
    pub(in crate::controller) fn contested(&self) -> &[String] {
        &self.contested
    }
}

#[cfg(test)]
impl Applied {
    /// A plan that was applied without failures.
    pub(in crate::controller) fn well(rollout: Rollout) -> Self {
        Self {
            rollout,
            failures: Vec::new(),
            contested: Vec::new(),
            overlaps: Vec::new(),
        }
    }

    /// A plan whose workloads an older integration selects too.
    pub(in crate::controller) fn overlapping(overlaps: &[&str]) -> Self {
        Self {
            overlaps: overlaps.iter().map(|one| (*one).to_owned()).collect(),
            ..Self::well(Rollout::Done)
        }
    }

    /// A plan of which this failed.
    pub(in crate::controller) fn badly(failures: &[&str], contested: &[&str]) -> Self {
        let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        Self {
            failures: own(failures),
            contested: own(contested),
            ..Self::well(Rollout::Done)
        }
    }
}
