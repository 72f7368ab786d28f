//! Whether a strand is the one that was seen before: the one place that judges heads. Pure.
//!
//! The operator stores heads that it saw as `spec.witnessed`. A strand must still have that block: a shorter strand lost
//! records or is an older copy, and another block at that seq is a rewritten chain.

use std::time::Duration;

use boboyka_crds::{BoboykaStrand, Contradiction, HeadReference, StrandStatus};

use crate::caches::Claim;

/// How often the head of a strand that stays with its pod is stored.
pub(crate) const STORE_INTERVAL: Duration = Duration::from_mins(10);

/// What is wrong with a strand's chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainProblem {
    /// It ends before a head that was seen.
    #[error(
        "it ended at seq {seen} before and ends at seq {now} today: records are lost, or its volume is an older copy"
    )]
    WentBack {
        /// The seq of the head that was seen.
        seen: i64,
        /// The seq of the head today.
        now: i64,
    },
    /// It has another block where one was seen.
    #[error(
        "its block at seq {seq} is not the block that was there before: the chain was rewritten"
    )]
    Forked {
        /// The seq of both blocks.
        seq: i64,
    },
    /// Its log contradicts a checkpoint that the operator has cosigned.
    #[error("{}", .0.message)]
    Contradicts(Contradiction),
    /// Its claim is gone, and its volume with it.
    #[error(
        "its claim {claim} was deleted with the records in it: restore the claim, or delete the strand to begin an empty one"
    )]
    ClaimLost {
        /// The claim's name.
        claim: String,
    },
    /// Its claim is another one than before.
    #[error(
        "its claim {claim} is not the one that held the records, and no pod has shown that it holds them too: restore them, or delete the strand to begin with this claim"
    )]
    ClaimReplaced {
        /// The claim's name.
        claim: String,
    },
    /// Its claim is there, but the volume is gone.
    #[error(
        "the persistent volume of its claim {claim} is gone with the records in it: restore the volume, or delete the strand and the claim to begin an empty one"
    )]
    VolumeLost {
        /// The claim's name.
        claim: String,
    },
    /// Its sidecar reports a break.
    #[error("{0}")]
    Broken(String),
}

/// How a report stands to a head that was seen before.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Continuity {
    /// The strand has the block.
    Confirmed,
    /// The report says nothing of the block.
    Unknown,
    Problem(ChainProblem),
}

/// Judges a strand by its last report, by the head that the operator stored, and by what it found as a witness.
///
/// # Errors
/// [`ChainProblem`]: what does not hold.
pub(crate) fn check(strand: &BoboykaStrand) -> Result<(), ChainProblem> {
    if let Some(found) = &strand.spec.contradiction {
        return Err(ChainProblem::Contradicts(found.clone()));
    }
    let Some(status) = strand.report() else {
        return Ok(());
    };
    if let Some(seen) = &strand.spec.witnessed
        && let Continuity::Problem(problem) = compare(seen, status)
    {
        return Err(problem);
    }
    match &status.chain {
        Some(chain) if !chain.intact => {
            let why = chain.reason.clone();
            Err(ChainProblem::Broken(why.unwrap_or_else(|| {
                "its sidecar reports a broken chain".to_owned()
            })))
        }
        _ => Ok(()),
    }
}

/// Judges whether a strand has the volume that it had before; `claim` is the claim of its name, if there is one.
///
/// # Errors
/// [`ChainProblem`]: the volume is gone or another one.
pub(crate) fn check_claim(
    strand: &BoboykaStrand,
    claim: Option<&Claim>,
) -> Result<(), ChainProblem> {
    let Some(name) = &strand.spec.claim_name else {
        return Ok(());
    };
    let recorded = strand.spec.claim_uid.as_ref();
    let name = || name.clone();
    match claim {
        None if recorded.is_some() => Err(ChainProblem::ClaimLost { claim: name() }),
        Some(claim) if recorded.is_some_and(|uid| claim.meta.uid.as_ref() != Some(uid)) => {
            Err(ChainProblem::ClaimReplaced { claim: name() })
        }
        Some(claim) if claim.has_lost_its_volume() => {
            Err(ChainProblem::VolumeLost { claim: name() })
        }
        _ => Ok(()),
    }
}

/// Whether the strand, by its own last report, still has the block that the operator stored, or nothing was stored yet.
pub(crate) fn is_proven(strand: &BoboykaStrand) -> bool {
    if strand.spec.contradiction.is_some() {
        return false;
    }
    match (&strand.spec.witnessed, strand.report()) {
        (Some(stored), Some(status)) => compare(stored, status) == Continuity::Confirmed,
        (Some(_), None) => false,
        (None, status) => status.is_none_or(|status| status.records == 0),
    }
}

/// The newest head that the operator can vouch for: the stored one, or the reported one if the strand followed from it.
pub(crate) fn newest(strand: &BoboykaStrand) -> Option<HeadReference> {
    let stored = strand.spec.witnessed.as_ref();
    let status = strand.report();
    let reported = status.and_then(|status| status.head.as_ref());
    if strand.spec.contradiction.is_some() {
        return stored.cloned();
    }
    match (stored, status, reported) {
        (None, _, reported) => reported.filter(|head| head.seq > 0).cloned(),
        (Some(stored), Some(status), Some(reported))
            if reported.seq > stored.seq && follows(stored, status) =>
        {
            Some(reported.clone())
        }
        (stored, _, _) => stored.cloned(),
    }
}

/// The head to store now, if one is due. `seen` is the newest head that this replica remembers.
///
/// A head is stored now and then, and at once when the strand is behind what was seen: then what was seen must outlive
/// this replica.
pub(crate) fn head_to_store(
    strand: &BoboykaStrand,
    seen: Option<&HeadReference>,
    is_due: bool,
) -> Option<HeadReference> {
    let stored = strand.spec.witnessed.as_ref();
    if let (Some(seen), Some(status)) = (seen, strand.report())
        && matches!(compare(seen, status), Continuity::Problem(_))
        && stored.is_none_or(|stored| stored.seq < seen.seq)
    {
        return Some(seen.clone());
    }
    newest(strand).filter(|newest| is_due && stored != Some(newest))
}

fn compare(seen: &HeadReference, status: &StrandStatus) -> Continuity {
    let Some(head) = &status.head else {
        return Continuity::Unknown;
    };
    if head.seq < seen.seq {
        return Continuity::Problem(ChainProblem::WentBack {
            seen: seen.seq,
            now: head.seq,
        });
    }
    let answer = status.witnessed.as_ref();
    let block = answer
        .filter(|answer| answer.seq == seen.seq)
        .or_else(|| (head.seq == seen.seq).then_some(head));
    match block {
        None => Continuity::Unknown,
        Some(block) if block.hash == seen.hash => Continuity::Confirmed,
        Some(_) => Continuity::Problem(ChainProblem::Forked { seq: seen.seq }),
    }
}

/// Whether the strand, by its own last report, still has the stored block. A pruned block can't be asked for: that what lies
/// above it is the strand that was there before, its transparency log shows, whose checkpoints the operator cosigns.
fn follows(stored: &HeadReference, status: &StrandStatus) -> bool {
    let floor = status.floor.as_ref().map_or(0, |floor| floor.seq);
    stored.seq <= floor || compare(stored, status) == Continuity::Confirmed
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaStrandSpec, ContradictionKind};
    use serde_json::json;

    use super::*;
    use crate::clock;

    fn head(seq: i64, hash: &str) -> HeadReference {
        HeadReference {
            seq,
            hash: hash.to_owned(),
        }
    }

    /// A strand with this stored head, reported head and answer about the stored block.
    fn strand(
        stored: Option<HeadReference>,
        reported: Option<HeadReference>,
        answer: Option<HeadReference>,
    ) -> BoboykaStrand {
        let spec = BoboykaStrandSpec {
            witnessed: stored,
            ..BoboykaStrandSpec::default()
        };
        let mut strand = BoboykaStrand::new("i-0", spec);
        strand.status = Some(StrandStatus {
            reported_at: Some(clock::now()),
            head: reported,
            witnessed: answer,
            ..StrandStatus::default()
        });
        strand
    }

    #[test]
    fn a_strand_that_ends_before_the_stored_head_went_back() {
        let shorter = strand(Some(head(9, "cc")), Some(head(7, "aa")), None);
        let problem = ChainProblem::WentBack { seen: 9, now: 7 };
        assert_eq!(check(&shorter), Err(problem));
        assert_eq!(newest(&shorter), Some(head(9, "cc")));
    }

    #[test]
    fn another_block_at_a_seen_seq_is_a_fork() {
        let at_head = strand(Some(head(7, "bb")), Some(head(7, "aa")), None);
        assert_eq!(check(&at_head), Err(ChainProblem::Forked { seq: 7 }));
        let below = strand(
            Some(head(5, "dd")),
            Some(head(7, "aa")),
            Some(head(5, "ee")),
        );
        assert_eq!(check(&below), Err(ChainProblem::Forked { seq: 5 }));
        assert_eq!(newest(&below), Some(head(5, "dd")));
    }

    #[test]
    fn a_strand_that_confirms_the_stored_block_is_followed() {
        let followed = strand(
            Some(head(5, "dd")),
            Some(head(7, "aa")),
            Some(head(5, "dd")),
        );
        assert_eq!(check(&followed), Ok(()));
        assert_eq!(newest(&followed), Some(head(7, "aa")));
        let silent = strand(Some(head(5, "dd")), Some(head(7, "aa")), None);
        assert_eq!(check(&silent), Ok(()));
        assert_eq!(newest(&silent), Some(head(5, "dd")));
    }

    #[test]
    fn a_stored_block_that_was_pruned_needs_no_answer() {
        let mut pruned = strand(Some(head(5, "dd")), Some(head(7, "aa")), None);
        pruned.status.as_mut().unwrap().floor = Some(head(5, "dd"));
        assert_eq!(newest(&pruned), Some(head(7, "aa")));
        pruned.status.as_mut().unwrap().floor = Some(head(4, "d0"));
        assert_eq!(newest(&pruned), Some(head(5, "dd")));
    }

    #[test]
    fn a_strand_that_contradicts_what_was_cosigned_is_no_longer_followed() {
        let mut strand = strand(Some(head(5, "dd")), Some(head(7, "aa")), None);
        strand.status.as_mut().unwrap().floor = Some(head(5, "dd"));
        let found = Contradiction {
            kind: ContradictionKind::Forked,
            origin: "o".to_owned(),
            size: 6,
            root: "r".to_owned(),
            message: "6 records were cosigned".to_owned(),
        };
        strand.spec.contradiction = Some(found.clone());
        assert_eq!(check(&strand), Err(ChainProblem::Contradicts(found)));
        assert_eq!(newest(&strand), Some(head(5, "dd")));
        assert!(!is_proven(&strand));
    }

    #[test]
    fn an_empty_strand_has_no_head_to_vouch_for() {
        assert_eq!(newest(&strand(None, Some(head(0, "")), None)), None);
        assert_eq!(
            newest(&strand(None, Some(head(1, "aa")), None)),
            Some(head(1, "aa"))
        );
    }

    #[test]
    fn a_head_is_stored_when_it_is_due_and_new() {
        let new = strand(None, Some(head(3, "aa")), None);
        assert_eq!(head_to_store(&new, None, false), None);
        assert_eq!(head_to_store(&new, None, true), Some(head(3, "aa")));
        let stored = strand(Some(head(3, "aa")), Some(head(3, "aa")), None);
        assert_eq!(head_to_store(&stored, None, true), None);
    }

    #[test]
    fn a_head_that_the_strand_lost_is_stored_at_once() {
        let back = strand(None, Some(head(3, "aa")), None);
        let seen = head(9, "bb");
        assert_eq!(
            head_to_store(&back, Some(&seen), false),
            Some(head(9, "bb"))
        );
        let stored = strand(Some(head(9, "bb")), Some(head(3, "aa")), None);
        assert_eq!(head_to_store(&stored, Some(&seen), false), None);
        let forked = head(3, "zz");
        assert_eq!(
            head_to_store(&back, Some(&forked), false),
            Some(head(3, "zz"))
        );
    }

    #[test]
    fn a_break_that_the_sidecar_reports_counts() {
        let mut broken = strand(None, Some(head(3, "aa")), None);
        let chain = json!({"intact": false, "reason": "seq 2 does not follow seq 1"});
        broken.status.as_mut().unwrap().chain = serde_json::from_value(chain).unwrap();
        let problem = check(&broken).unwrap_err();
        assert_eq!(problem.to_string(), "seq 2 does not follow seq 1");
    }

    #[test]
    fn a_strand_has_its_volume_while_its_claim_stays_the_same_and_keeps_the_volume() {
        let claimed = |recorded: Option<&str>| {
            let mut strand = strand(None, None, None);
            strand.spec.claim_name = Some("c".to_owned());
            strand.spec.claim_uid = recorded.map(str::to_owned);
            strand
        };
        let claim = |uid: &str, phase: &str| {
            let mut claim = Claim::default();
            claim.meta.uid = Some(uid.to_owned());
            claim.phase = Some(phase.into());
            claim
        };
        let name = || "c".to_owned();
        for (recorded, there, judged) in [
            (Some("1"), Some(claim("1", "Bound")), Ok(())),
            (None, Some(claim("1", "Pending")), Ok(())),
            (None, None, Ok(())),
            (
                Some("1"),
                None,
                Err(ChainProblem::ClaimLost { claim: name() }),
            ),
            (
                Some("1"),
                Some(claim("2", "Bound")),
                Err(ChainProblem::ClaimReplaced { claim: name() }),
            ),
            (
                Some("1"),
                Some(claim("1", "Lost")),
                Err(ChainProblem::VolumeLost { claim: name() }),
            ),
        ] {
            let found = check_claim(&claimed(recorded), there.as_ref());
            assert_eq!(found, judged, "{recorded:?} {there:?}");
        }
    }
}
