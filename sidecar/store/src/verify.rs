//! Checking a whole strand, from its floor to its head.

mod unbound;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use boboyka_strand::{Block, Break, ChainError, Head, Seq, run};

use self::unbound::unbound;
use crate::binding::{self, Binding};
use crate::error::causes;
use crate::gap::Gap;
use crate::read;
use crate::segment::{Segment, follow_run};
use crate::shared::Shared;
use crate::strip::Bindings;
use crate::tail_run;
use crate::tree_check::{TreeCheck, checkpoint_differs};

/// What a check of the chain came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether every block holds.
    pub ok: bool,
    /// Where the check began: the block before the first one checked, which is the newest pruned one.
    pub floor: Head,
    /// How many blocks were found whole.
    pub verified: u64,
    /// How many of them without their payload, which retention by type let go.
    pub payloads_gone: u64,
    /// The last block that holds.
    pub head: Head,
    /// The first seq that does not hold.
    pub broken_seq: Option<u64>,
    /// How it does not; what else is to be said of a strand that holds.
    pub reason: Option<String>,
}

/// Re-hashes every block that was in the strand when the check began, from the floor on. `progress`
/// is called with the block that the check has reached, and may end it; then the verdict covers what was checked.
///
pub(crate) fn verify(
    shared: &Shared,
    mut progress: impl FnMut(Head) -> ControlFlow<()>,
) -> Verdict {
    let view = shared.view();
    let target = view.head;
    let mut walk = Walk::from(view.floor.head);
    let mut ended = false;
    let mut tree = TreeCheck::from(shared, view.floor.head.seq);
    let bindings = RefCell::new(Bindings::default());
    let mut progress = |head, blocks: &[Block]| {
        for block in blocks {
            tree.take(&block.header);
        }
        bindings.borrow_mut().take(blocks);
        let flow = progress(head);
        ended |= flow.is_break();
        flow
    };
    while walk.at.seq < target.seq {
        if let Some(gap) = shared.state().memory().gap_of(walk.at.seq + 1).copied() {
            if let Err(error) = walk.pass(gap) {
                return walk.broken(&error);
            }
            continue;
        }
        let mut blocks = Vec::new();
        match verify_next(shared, &walk, &mut progress) {
            Ok((next, Found::Segment(segment))) => {
                walk.step_to(next);
                bindings.borrow_mut().meet(&segment);
            }
            Ok((next, Found::Run(found))) => {
                walk.step_to(next);
                blocks = found;
            }
            // What was pruned meanwhile need not hold any more: the strand begins behind it.
            Err(_) if walk.at.seq < shared.state().floor().head.seq => {
                walk.skip_to(shared.state().floor().head);
            }
            Err(error) => return walk.broken(&error),
        }
        if progress(walk.at, &blocks).is_break() {
            break;
        }
    }
    if !ended && walk.at.seq == target.seq && walk.at != target {
        let reason = Break::Hash {
            expected: target.hash,
            found: walk.at.hash,
        };
        let seq = walk.at.seq;
        return walk.broken(&ChainError { seq, reason });
    }
    let bindings = bindings.into_inner();
    walk.gone = bindings.gone;
    if ended {
        return walk.whole();
    }
    let verdict = match floor_holds(shared) {
        Ok(note) => walk.whole().noting(note),
        Err(why) => walk.unbound(why),
    };
    let found = tree.found().or_else(|| checkpoint_differs(shared));
    let found = found.or_else(|| unbound(shared, bindings, target.seq));
    found.map_or(verdict.clone(), |(seq, why)| verdict.failing(seq, why))
}

/// Whether the floor is the one that the record of its pruning names; a note where an earlier version made no record.
fn floor_holds(shared: &Shared) -> Result<Option<String>, String> {
    loop {
        let (floor, binding) = {
            let state = shared.state();
            (*state.floor(), state.memory().binding())
        };
        let seq = floor.head.seq;
        let found = match binding {
            _ if seq == 0 => return Ok(None),
            Binding::Earlier(until) if until == seq => {
                let note = format!("pruned up to seq {seq} before records of pruning existed");
                return Ok(Some(note));
            }
            Binding::Record(at, hash) => read::block(shared, at)
                .ok()
                .flatten()
                .filter(|block| block.hash == hash && binding::binds(block, &floor)),
            Binding::Nothing | Binding::Earlier(_) => None,
        };
        if found.is_some() {
            return Ok(None);
        }
        // It may have been raised meanwhile.
        if shared.state().floor().head == floor.head {
            return Err(format!(
                "the strand has no record of a pruning up to seq {seq}, where it begins: records were removed by \
                 something else"
            ));
        }
    }
}

/// A check on its way.
struct Walk {
    floor: Head,
    at: Head,
    /// Where it was before: a run that was walked may be sealed before its segment's turn comes.
    passed: Vec<Head>,
    /// Blocks that were pruned before their turn came, or that are lost.
    skipped: u64,
    /// What is recorded as lost.
    gaps: Vec<Gap>,
    /// Blocks without their payload.
    gone: u64,
}

impl Walk {
    fn from(floor: Head) -> Self {
        Self {
            floor,
            at: floor,
            passed: Vec::new(),
            skipped: 0,
            gaps: Vec::new(),
            gone: 0,
        }
    }

    fn step_to(&mut self, next: Head) {
        self.passed.push(self.at);
        self.at = next;
    }

    /// The head before a segment that holds the next block, perhaps with some that were walked already.
    fn before(&self, segment: &Segment) -> Head {
        let seq = segment.meta.before.seq;
        let before = self.passed.iter().rev().find(|head| head.seq == seq);
        before
            .copied()
            .filter(|_| seq < self.at.seq)
            .unwrap_or(self.at)
    }

    /// Goes on behind what is lost, if the chain led up to it.
    fn pass(&mut self, gap: Gap) -> Result<(), ChainError> {
        let (seq, expected) = (gap.first, gap.hash_before);
        if self.at.seq + 1 == seq && self.at.hash != expected {
            let found = self.at.hash;
            let reason = Break::Hash { expected, found };
            return Err(ChainError { seq, reason });
        }
        self.skipped += gap.last.seq - self.at.seq;
        self.passed.push(self.at);
        self.at = gap.last;
        self.gaps.push(gap);
        Ok(())
    }

    fn skip_to(&mut self, floor: Head) {
        self.skipped += floor.seq - self.at.seq;
        self.at = floor;
    }

    fn whole(self) -> Verdict {
        Verdict {
            ok: self.gaps.is_empty(),
            floor: self.floor,
            verified: self.at.seq - self.floor.seq - self.skipped,
            payloads_gone: self.gone,
            head: self.at,
            broken_seq: self.gaps.first().map(|gap| gap.first),
            reason: reason_of(&self.gaps),
        }
    }

    /// The chain holds, but nothing in it says why it begins at its floor.
    fn unbound(self, why: String) -> Verdict {
        let floor = self.floor.seq;
        let whole = self.whole();
        Verdict {
            ok: false,
            broken_seq: whole.broken_seq.or(Some(floor)),
            ..whole.noting(Some(why))
        }
    }

    fn broken(self, error: &ChainError) -> Verdict {
        let before = error.seq.saturating_sub(1);
        Verdict {
            ok: false,
            verified: before.saturating_sub(self.floor.seq + self.skipped),
            broken_seq: Some(error.seq),
            reason: Some(error.reason.to_string()),
            ..self.whole()
        }
    }
}

impl Verdict {
    /// The chain holds, and what was signed of it, or its tree, does not.
    fn failing(self, seq: Seq, why: String) -> Self {
        Self {
            ok: false,
            broken_seq: self.broken_seq.or(Some(seq)),
            ..self.noting(Some(why))
        }
    }

    fn noting(self, note: Option<String>) -> Self {
        let parts: Vec<_> = self.reason.into_iter().chain(note).collect();
        Self {
            reason: (!parts.is_empty()).then(|| parts.join("; ")),
            ..self
        }
    }
}

fn reason_of(gaps: &[Gap]) -> Option<String> {
    let ranges: Vec<_> = gaps
        .iter()
        .map(|gap| format!("{} to {}", gap.first, gap.last.seq))
        .collect();
    let only = "the chain is intact apart from the recorded gap";
    (!ranges.is_empty()).then(|| format!("the records {} are lost; {only}", ranges.join(" and ")))
}

/// What a step checked.
enum Found {
    /// Its blocks were passed on already.
    Segment(Arc<Segment>),
    Run(Vec<Block>),
}

/// Checks the segment or the run that comes next. A run that was sealed meanwhile is found again in
/// its segment, which is checked as a whole.
fn verify_next(
    shared: &Shared,
    walk: &Walk,
    progress: &mut dyn FnMut(Head, &[Block]) -> ControlFlow<()>,
) -> Result<(Head, Found), ChainError> {
    let at = walk.at;
    let (segment, run) = {
        let state = shared.state();
        let memory = state.memory();
        (
            memory.segment_of(at.seq + 1).cloned(),
            memory.run_of(at.seq + 1).cloned(),
        )
    };
    if let Some(segment) = segment {
        let next = segment.verify(walk.before(&segment), progress)?;
        return Ok((next, Found::Segment(segment)));
    }
    let seq = at.seq + 1;
    let unreadable = |why: String| ChainError {
        seq,
        reason: Break::Unreadable(why),
    };
    let run = run.ok_or(ChainError {
        seq,
        reason: Break::Missing,
    })?;
    let unpacked = tail_run::unpack(&run.bytes).map_err(|error| unreadable(causes(&error)))?;
    let found = run::read(&unpacked.run).map_err(|error| unreadable(error.to_string()))?;
    let next = follow_run(at, &found, unpacked.prefixes.into_iter())?;
    Ok((next, Found::Run(found.blocks)))
}
