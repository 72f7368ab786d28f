//! Whether a strand is the one that was seen before: not shorter, not another, and whole by its own account.

use std::fmt;

use boboyka_crds::BoboykaStrand;

/// What is wrong with a strand's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) enum ChainProblem {
    /// It ends before a head that was seen.
    WentBack { seen: i64, now: i64 },
    /// It has another block where one was seen.
    Forked { seq: i64 },
    /// Its sidecar says so.
    Broken(String),
}

impl ChainProblem {
    /// The reason of a condition.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::WentBack { .. } => "HeadWentBack",
            Self::Forked { .. } => "HeadForked",
            Self::Broken(_) => "ChainBroken",
        }
    }
}

impl fmt::Display for ChainProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WentBack { seen, now } => write!(
                f,
                "seq {seen} was seen, and now it ends at {now}: its volume is an older copy, or records are lost"
            ),
            Self::Forked { seq } => write!(
                f,
                "its block at seq {seq} is not the one that was seen: it was written anew"
            ),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Judges a strand by its last report and by the head that the operator noted.
pub(in crate::controller) fn chain_of(strand: &BoboykaStrand) -> Result<(), ChainProblem> {
    let Some(status) = &strand.status else {
        return Ok(());
    };
    if let (Some(seen), Some(head)) = (&strand.spec.witnessed, &status.head) {
        if head.seq < seen.seq {
            return Err(ChainProblem::WentBack {
                seen: seen.seq,
                now: head.seq,
            });
        }
        let answer = status
            .witnessed
            .as_ref()
            .filter(|answer| answer.seq == seen.seq);
        let same_place = (head.seq == seen.seq).then_some(head);
        if answer
            .or(same_place)
            .is_some_and(|answer| answer.hash != seen.hash)
        {
            return Err(ChainProblem::Forked { seq: seen.seq });
        }
    }
    match &status.chain {
        Some(chain) if !chain.intact => {
            let why = chain
                .reason
                .clone()
                .unwrap_or_else(|| "its chain does not hold".to_owned());
            Err(ChainProblem::Broken(why))
        }
        _ => Ok(()),
    }
}
