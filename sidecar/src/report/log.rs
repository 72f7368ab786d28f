//! What a report says of the strand's transparency log and of its witnesses.

use std::time::Duration;

use boboyka_cosigning::{Cosigned, Fault, WitnessStatus};
use boboyka_crds::{EarlierLog, Held, LogReport};
use boboyka_store::{Compared, Predecessor, Store, causes};
use boboyka_tlog::Checkpoint;

/// A witness that cosigns nothing for this long is reported; shorter failures pass by themselves.
const FAILING: Duration = Duration::from_mins(2);

/// What witnesses make of the log's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Witnessing {
    /// All of them cosign.
    Cosigned,
    /// Some were not asked yet, or fail since a moment ago.
    Begun,
    /// One can't be asked, or has not cosigned for a while, and why.
    Missing(String),
    /// One holds another tree of this log, and what it says.
    Contradicted(String),
}

/// The earlier incarnations as they were when this one began: its origin tells.
#[derive(Clone)]
pub(super) struct Earlier {
    origin: String,
    logs: Vec<EarlierLog>,
}

/// How the log stands; `None` until it has begun.
pub(super) fn report(
    store: &Store,
    cosigned: &Cosigned,
    known: &mut Option<Earlier>,
) -> Option<LogReport> {
    let newest = store.checkpoint()?;
    let origin = newest.checkpoint.origin();
    if known.as_ref().is_none_or(|known| known.origin != origin) {
        let logs = earlier(store)?;
        let origin = origin.to_owned();
        *known = Some(Earlier { origin, logs });
    }
    let note = cosigned.note.as_ref();
    let newest_cosigned = note.and_then(|note| Checkpoint::of_note(note).ok());
    let newest_cosigned = newest_cosigned.filter(|one| one.origin() == origin);
    Some(LogReport {
        origin: origin.to_owned(),
        vkey: newest.vkey.clone(),
        size: number(newest.checkpoint.size()),
        cosigned_size: newest_cosigned.map_or(0, |one| number(one.size())),
        earlier: known.as_ref().map(|known| known.logs.clone())?,
    })
}

/// `None` when they can't be told now.
fn earlier(store: &Store) -> Option<Vec<EarlierLog>> {
    let known = store.tlog_predecessors();
    let known = known.inspect_err(|error| {
        let error = causes(error);
        tracing::warn!(
            error,
            "could not compare the strand with earlier incarnations of its log"
        );
    });
    Some(known.ok()?.iter().map(earlier_log).collect())
}

fn earlier_log(ended: &Predecessor) -> EarlierLog {
    EarlierLog {
        origin: ended.checkpoint.origin().to_owned(),
        size: number(ended.checkpoint.size()),
        root: ended.checkpoint.root().to_string(),
        held: match ended.held {
            Compared::Same => Held::Whole,
            Compared::Shorter => Held::Fewer,
            Compared::Other => Held::Others,
        },
    }
}

/// What witnesses make of the checkpoints; `None` when there is none to ask.
pub(super) fn witnessing(cosigned: &Cosigned) -> Option<Witnessing> {
    if let Some(wrong) = cosigned.unusable.first() {
        return Some(Witnessing::Missing(wrong.clone()));
    }
    let all = &cosigned.witnesses;
    let contradicts = all.iter().find(|one| is_of_log(one));
    if let Some(one) = contradicts {
        return Some(Witnessing::Contradicted(told(one)));
    }
    let is_late =
        |one: &&WitnessStatus| one.failing_since.is_some_and(|at| at.elapsed() >= FAILING);
    if let Some(one) = all.iter().find(is_late) {
        return Some(Witnessing::Missing(told(one)));
    }
    let cosign = |one: &WitnessStatus| one.fault.is_none() && one.size > 0;
    if all.is_empty() {
        return None;
    }
    Some(if all.iter().all(cosign) {
        Witnessing::Cosigned
    } else {
        Witnessing::Begun
    })
}

fn is_of_log(one: &WitnessStatus) -> bool {
    one.fault.as_ref().is_some_and(Fault::is_of_log)
}

fn told(one: &WitnessStatus) -> String {
    let fault = one.fault.as_ref();
    let why = fault.map_or_else(String::new, ToString::to_string);
    format!("{}: {why}", one.name)
}

/// Kubernetes' numbers have a sign.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    fn witness(size: u64, fault: Option<Fault>) -> WitnessStatus {
        WitnessStatus {
            name: "w".to_owned(),
            size,
            failing_since: fault.as_ref().map(|_| Instant::now()),
            fault,
        }
    }

    fn of(witnesses: Vec<WitnessStatus>) -> Cosigned {
        Cosigned {
            witnesses,
            ..Cosigned::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_witness_that_contradicts_is_told_at_once_and_one_that_fails_after_a_while() {
        let failed = || Some(Fault::Failed("no".to_owned()));
        let ahead = Some(Fault::Ahead { last: 9, size: 7 });
        assert_eq!(witnessing(&of(vec![])), None);
        assert_eq!(
            witnessing(&of(vec![witness(0, None)])),
            Some(Witnessing::Begun)
        );
        let well = of(vec![witness(7, None)]);
        assert_eq!(witnessing(&well), Some(Witnessing::Cosigned));
        let failing = of(vec![witness(7, None), witness(7, failed())]);
        assert_eq!(witnessing(&failing), Some(Witnessing::Begun));
        advance(FAILING).await;
        let missing = Some(Witnessing::Missing("w: no".to_owned()));
        assert_eq!(witnessing(&failing), missing);
        let contradicted = witnessing(&of(vec![witness(7, failed()), witness(7, ahead)]));
        assert!(
            matches!(contradicted, Some(Witnessing::Contradicted(why)) if why.contains("went back"))
        );
        let mut unusable = of(vec![witness(7, None)]);
        unusable.unusable = vec!["the witness w2: the key's id is wrong".to_owned()];
        assert!(
            matches!(witnessing(&unusable), Some(Witnessing::Missing(why)) if why.contains("w2"))
        );
    }
}
