//! What the checks of a status look at. Pure.

use boboyka_crds::BoboykaStrand;
use boboyka_crds::phases::Standing;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::tally::Tally;
use crate::controller::apply::Applied;
use crate::controller::seen::{Evidence, Seen};
use crate::integration::Validated;
use crate::strands::witness::ChainProblem;

/// What a status is made of. It needs a plan that was applied.
pub(in crate::controller) struct Facts<'a> {
    pub(super) validated: &'a Validated,
    pub(super) seen: &'a Seen,
    pub(super) standing: &'a Standing,
    pub(super) applied: &'a Applied,
    pub(super) now: &'a Time,
    pub(super) tally: Tally,
    evidence: &'a [Evidence],
}

impl<'a> Facts<'a> {
    /// `evidence` has one entry for each strand that was seen, in the same order.
    pub(in crate::controller) fn new(
        validated: &'a Validated,
        seen: &'a Seen,
        evidence: &'a [Evidence],
        standing: &'a Standing,
        applied: &'a Applied,
        now: &'a Time,
    ) -> Self {
        Self {
            validated,
            seen,
            standing,
            applied,
            now,
            tally: Tally::of(&seen.strands, evidence),
            evidence,
        }
    }

    /// Strands that a pod holds while their sidecar is not ready.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &BoboykaStrand> {
        let strands = self.seen.strands.iter().zip(self.evidence);
        strands
            .filter(|(strand, evidence)| evidence.held && !evidence.is_ready(strand))
            .map(|(strand, _)| &**strand)
    }

    /// What is wrong with strands, each with its name.
    pub(super) fn problems(&self) -> impl Iterator<Item = (&str, &ChainProblem)> {
        let evidence = self.evidence.iter();
        evidence.filter_map(|one| Some((one.name.as_str(), one.problem.as_ref()?)))
    }

    /// Whether the requested phase is in force.
    pub(super) fn is_in_phase(&self) -> bool {
        self.validated.phase == self.standing.phase
    }
}
