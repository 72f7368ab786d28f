//! What checking the chains of a fleet comes to. Pure.

use serde::{Deserialize, Serialize};

use crate::ending::Ending;
use crate::table::{Cell, Look, Table, paragraph};

/// The sidecar's result.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Computed {
    pub(crate) ok: bool,
    pub(crate) verified: u64,
    /// The newest pruned block, `seq` 0 if there is none.
    pub(crate) floor: Head,
    pub(crate) head: Option<Head>,
    pub(crate) broken_seq: Option<u64>,
    pub(crate) reason: Option<String>,
}

/// Identifies a block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) hash: String,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Progress {
    pub(crate) verified: u64,
    pub(crate) total: u64,
}

/// What a chain turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Verdict {
    /// Every hash is right, and the strand holds the head that the operator recorded.
    Intact,
    /// A hash is wrong, records are missing, or the strand is another one than the operator knew.
    Broken,
    /// Nobody could check it.
    Unchecked,
}

/// One strand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proof {
    pub(crate) namespace: String,
    pub(crate) strand: String,
    pub(crate) verdict: Verdict,
    /// The number of records whose hashes were computed again.
    pub(crate) verified: u64,
    pub(crate) head: Option<Head>,
    /// The `seq` of the head that the operator recorded and that the strand was compared with.
    pub(crate) recorded_seq: Option<i64>,
    /// Why it is not intact.
    pub(crate) reason: Option<String>,
}

/// The whole fleet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Proofs {
    pub(crate) verdict: Verdict,
    pub(crate) verified: u64,
    pub(crate) strands: Vec<Proof>,
}

impl Proof {
    /// A strand that nobody could check.
    pub(crate) fn unchecked(namespace: &str, strand: &str, why: String) -> Self {
        Self {
            namespace: namespace.to_owned(),
            strand: strand.to_owned(),
            verdict: Verdict::Unchecked,
            verified: 0,
            head: None,
            recorded_seq: None,
            reason: Some(why),
        }
    }

    /// Judges a result. `recorded` is the head that the operator recorded, with the hash that the strand has there.
    pub(crate) fn of(
        namespace: &str,
        strand: &str,
        result: Computed,
        recorded: Option<(&Head, Option<String>)>,
    ) -> Self {
        let reason = broken(&result).or_else(|| {
            recorded
                .as_ref()
                .and_then(|(head, held)| contradiction(head, held.as_deref()))
        });
        Self {
            namespace: namespace.to_owned(),
            strand: strand.to_owned(),
            verdict: if reason.is_some() {
                Verdict::Broken
            } else {
                Verdict::Intact
            },
            verified: result.verified,
            head: result.head,
            recorded_seq: recorded.map(|(head, _)| head.seq),
            reason,
        }
    }
}

fn broken(result: &Computed) -> Option<String> {
    let reason = result.reason.as_deref().unwrap_or("its chain is broken");
    match (result.ok, result.broken_seq) {
        (true, _) => None,
        (false, Some(seq)) => Some(format!("record {seq}: {reason}")),
        (false, None) => Some(reason.to_owned()),
    }
}

fn contradiction(recorded: &Head, held: Option<&str>) -> Option<String> {
    match held {
        Some(hash) if hash == recorded.hash => None,
        Some(_) => Some(format!(
            "record {} is another one than the operator recorded",
            recorded.seq
        )),
        None => Some(format!(
            "it has no record {}, which the operator recorded",
            recorded.seq
        )),
    }
}

impl Proofs {
    /// Sums up.
    pub(crate) fn new(strands: Vec<Proof>) -> Self {
        let any = |verdict| strands.iter().any(|one| one.verdict == verdict);
        let verdict = match (any(Verdict::Broken), any(Verdict::Unchecked)) {
            (true, _) => Verdict::Broken,
            (false, true) => Verdict::Unchecked,
            (false, false) => Verdict::Intact,
        };
        Self {
            verdict,
            verified: strands.iter().map(|one| one.verified).sum(),
            strands,
        }
    }

    /// How the command ends.
    pub(crate) fn ending(&self) -> Ending {
        match self.verdict {
            Verdict::Intact => Ending::Well,
            Verdict::Broken => Ending::Found,
            Verdict::Unchecked => Ending::Unanswered,
        }
    }

    /// The table and the one verdict.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        if self.strands.is_empty() {
            return "There is no strand to check.\n".to_owned();
        }
        let mut table = Table::new(&["VERDICT", "STRAND", "RECORDS", "REMARK"]);
        for one in &self.strands {
            table.row([
                mark(one.verdict),
                Cell::from(format!("{}/{}", one.namespace, one.strand)),
                Cell::from(one.verified.to_string()),
                Cell::from(one.reason.as_deref().unwrap_or_default()),
            ]);
        }
        table.render(width) + "\n" + &paragraph(&self.sentence(), 0, width)
    }

    fn sentence(&self) -> String {
        let count = |verdict| {
            self.strands
                .iter()
                .filter(|one| one.verdict == verdict)
                .count()
        };
        let (all, unchecked) = (self.strands.len(), count(Verdict::Unchecked));
        match self.verdict {
            Verdict::Intact => format!("all {all} chains are intact: {} records", self.verified),
            Verdict::Broken => format!(
                "{} of {all} chains are broken: keep their volumes as they are, and see docs/alerts.md",
                count(Verdict::Broken)
            ),
            Verdict::Unchecked => {
                format!("{unchecked} of {all} chains could not be checked; the others are intact")
            }
        }
    }
}

fn mark(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Intact => Cell::new("Intact", Look::Good),
        Verdict::Broken => Cell::new("Broken", Look::Bad),
        Verdict::Unchecked => Cell::new("Unchecked", Look::Odd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(ok: bool) -> Computed {
        Computed {
            ok,
            verified: 7,
            floor: Head {
                seq: 0,
                hash: String::new(),
            },
            head: Some(head()),
            broken_seq: (!ok).then_some(3),
            reason: (!ok).then(|| "the hash is wrong".to_owned()),
        }
    }

    fn head() -> Head {
        Head {
            seq: 5,
            hash: "aa".to_owned(),
        }
    }

    #[test]
    fn one_verdict_stands_for_all_chains() {
        let intact = Proof::of("agents", "a", result(true), None);
        let broken = Proof::of("agents", "b", result(false), None);
        let unchecked = Proof::unchecked("agents", "c", "no pod holds it".to_owned());
        let all =
            |strands: &[&Proof]| Proofs::new(strands.iter().map(|one| (*one).clone()).collect());
        assert_eq!(all(&[&intact]).ending(), Ending::Well);
        assert_eq!(all(&[&intact, &unchecked]).ending(), Ending::Unanswered);
        let proofs = all(&[&intact, &broken, &unchecked]);
        assert_eq!(proofs.ending(), Ending::Found);
        assert_eq!(
            anstream::adapter::strip_str(&proofs.text(Some(80))).to_string(),
            "\
VERDICT    STRAND    RECORDS  REMARK
Intact     agents/a  7
Broken     agents/b  7        record 3: the hash is wrong
Unchecked  agents/c  0        no pod holds it

1 of 3 chains are broken: keep their volumes as they are, and see docs/alerts.md
"
        );
    }

    #[test]
    fn a_whole_chain_that_is_not_the_recorded_one_is_broken() {
        let recorded = head();
        let of = |held: Option<&str>| {
            Proof::of(
                "n",
                "a",
                result(true),
                Some((&recorded, held.map(str::to_owned))),
            )
        };
        assert_eq!(of(Some("aa")).verdict, Verdict::Intact);
        assert!(
            of(Some("bb"))
                .reason
                .unwrap()
                .contains("record 5 is another one")
        );
        assert!(of(None).reason.unwrap().contains("it has no record 5"));
    }
}
