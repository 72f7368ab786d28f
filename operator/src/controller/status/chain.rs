//! The check of what strands hold and where. Pure.

use boboyka_crds::ContradictionKind;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::reason::Reason;
use crate::strands::witness::ChainProblem;

/// Whether every chain is intact and continues what was seen before.
pub(super) fn chain_intact(facts: &Facts<'_>) -> Finding {
    let Some((_, first)) = facts.problems().next() else {
        return Finding::yes(
            Reason::AsExpected,
            "every chain is intact and continues what was seen before",
        );
    };
    let reason = match first {
        ChainProblem::WentBack { .. } => Reason::HeadWentBack,
        ChainProblem::Forked { .. } => Reason::HeadForked,
        ChainProblem::Contradicts(found) => match found.kind {
            ContradictionKind::Rewound => Reason::LogRewound,
            ContradictionKind::Forked => Reason::LogForked,
        },
        ChainProblem::ClaimLost { .. } => Reason::ClaimLost,
        ChainProblem::ClaimReplaced { .. } => Reason::ClaimReplaced,
        ChainProblem::VolumeLost { .. } => Reason::VolumeLost,
        ChainProblem::Broken(_) => Reason::ChainBroken,
    };
    let broken = facts.problems();
    let broken: Vec<String> = broken.map(|(name, why)| format!("{name}: {why}")).collect();
    Finding::no(reason, some_of(&broken))
}
