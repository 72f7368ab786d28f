//! The runs that were found, joined to a chain behind the segments: what is missing between them is a gap.

use std::path::PathBuf;
use std::sync::Arc;

use boboyka_strand::{Hash, Head, Hlc, Seq, run};

use crate::error::{OpenError, causes};
use crate::gap::Gap;
use crate::journal::entry::RawRun;
use crate::quarantine::Quarantine;
use crate::segment::follow_run;
use crate::summary::Summary;
use crate::tail_run::{self, TailEntry, TailRun};
use crate::witness::Acknowledged;

/// Runs that hold in themselves, by their first seq, and those that do not.
pub(super) struct Chain {
    runs: Vec<TailRun>,
    broken: Vec<(RawRun, String)>,
}

impl Chain {
    /// Checks the runs; of two with one first seq the later one comes first.
    pub(super) fn of(found: Vec<RawRun>) -> Self {
        let (mut runs, mut broken) = (Vec::new(), Vec::new());
        for raw in found.into_iter().rev() {
            match decode(&raw) {
                Ok(run) => runs.push(run),
                Err(why) => broken.push((raw, why)),
            }
        }
        runs.sort_by_key(TailRun::first_seq);
        Self { runs, broken }
    }

    /// Whether the runs hold every block behind `before` up to `head`.
    pub(super) fn covers(&self, before: Head, head: Head) -> bool {
        let mut at = (before.seq, before.hash);
        for run in &self.runs {
            if (run.before.seq, run.before.hash) == at {
                at = (run.head.seq, run.head.hash);
            }
            if at.0 >= head.seq {
                return at == (head.seq, head.hash);
            }
        }
        false
    }

    /// The runs behind the segments, joined. Gaps between them, and between them and what was acknowledged, are noted
    /// in the summary; runs that do not follow are quarantined. `files` are where they lay.
    pub(super) fn settle(
        self,
        summary: &mut Summary,
        acknowledged: Option<Acknowledged>,
        files: &[PathBuf],
        quarantine: &Quarantine,
        now_ms: u64,
    ) -> Result<Vec<Arc<TailRun>>, OpenError> {
        let sealed = summary.segments.values().last();
        let mut head = sealed.map_or(summary.floor.head, |segment| segment.meta.head);
        let (mut runs, mut strays) = (Vec::new(), Vec::new());
        let mut lost = Vec::new();
        for mut run in self.runs {
            if run.head.seq <= head.seq {
                continue;
            }
            if run.before.seq > head.seq {
                let gap = gap_before(summary, head, run.before, now_ms);
                lost.extend(gap);
                head = run.before;
            }
            if (run.before.seq, run.before.hash) != (head.seq, head.hash) {
                strays.push(run);
                continue;
            }
            run.before = head;
            head = run.head;
            runs.push(Arc::new(run));
        }
        while let Some(gap) = summary.gaps.get(&(head.seq + 1)) {
            head = gap.last;
        }
        lost.extend(lost_end(head, acknowledged, now_ms));
        keep_copies(&lost, files, quarantine)?;
        set_aside(self.broken, &strays, quarantine)?;
        tell_what_differs(head, acknowledged, files, quarantine)?;
        for gap in lost {
            summary.gaps.insert(gap.first, gap);
        }
        Ok(runs)
    }
}

/// The run, if it holds in itself.
pub(super) fn decode(raw: &RawRun) -> Result<TailRun, String> {
    let unpacked = tail_run::unpack(&raw.bytes).map_err(|error| causes(&error))?;
    let run = run::read(&unpacked.run).map_err(|error| error.to_string())?;
    let first = run.blocks.first();
    let seq = first.map_or(0, |block| block.header.seq);
    if seq == 0 || seq != raw.first_seq {
        return Err(format!("it begins with seq {seq}"));
    }
    let before = Head {
        seq: seq - 1,
        hash: first.map_or(Hash::ZERO, |block| block.header.parent_hash),
        hlc: Hlc::new(raw.hlc_before),
    };
    let head = follow_run(before, &run, unpacked.prefixes.iter().copied())
        .map_err(|error| error.to_string())?;
    let blocks = run.blocks.iter();
    let mut entries: Vec<_> = blocks.map(|block| TailEntry::of(block, None)).collect();
    for (position, key) in unpacked.keys {
        if let Some(entry) = entries.get_mut(position) {
            entry.key = Some(key);
        }
    }
    Ok(TailRun {
        before,
        head,
        entries: entries.into_boxed_slice(),
        bytes: raw.bytes.clone().into_boxed_slice(),
    })
}

/// The gap between two blocks, unless it is recorded already.
fn gap_before(summary: &Summary, head: Head, last: Head, found_ms: u64) -> Option<Gap> {
    let mut at = head;
    while let Some(gap) = summary.gaps.get(&(at.seq + 1)) {
        at = gap.last;
    }
    (at.seq < last.seq).then_some(Gap {
        first: at.seq + 1,
        hash_before: at.hash,
        last,
        found_ms,
    })
}

/// What was acknowledged behind the head.
fn lost_end(head: Head, acknowledged: Option<Acknowledged>, found_ms: u64) -> Option<Gap> {
    let (seq, hash) = acknowledged?;
    let last = Head { seq, hash, ..head };
    (seq > head.seq).then_some(Gap {
        first: head.seq + 1,
        hash_before: head.hash,
        last,
        found_ms,
    })
}

fn keep_copies(lost: &[Gap], files: &[PathBuf], quarantine: &Quarantine) -> Result<(), OpenError> {
    lost.iter().try_for_each(|gap| {
        let reason = format!(
            "copies of what may hold the records {} to {}: they were acknowledged and can't be read; the strand goes \
             on above them",
            gap.first, gap.last.seq
        );
        quarantine.copy(files, &reason)
    })
}

/// Quarantines runs that do not hold, or do not follow.
fn set_aside(
    broken: Vec<(RawRun, String)>,
    strays: &[TailRun],
    quarantine: &Quarantine,
) -> Result<(), OpenError> {
    let name = |first_seq: Seq| format!("{first_seq:020}.run");
    for (raw, why) in broken {
        let reason = format!(
            "a run that begins with seq {} and does not hold: {why}",
            raw.first_seq
        );
        quarantine.keep(&[(name(raw.first_seq), raw.bytes)], &reason)?;
    }
    for run in strays {
        let (first, last) = (run.first_seq(), run.head.seq);
        let reason = format!("the run of the seqs {first} to {last}, which follows no other");
        quarantine.keep(&[(name(first), run.bytes.to_vec())], &reason)?;
    }
    Ok(())
}

/// Quarantines copies when the head is not the one that was acknowledged.
fn tell_what_differs(
    head: Head,
    acknowledged: Option<Acknowledged>,
    files: &[PathBuf],
    quarantine: &Quarantine,
) -> Result<(), OpenError> {
    match acknowledged {
        Some((seq, hash)) if seq == head.seq && hash != head.hash => {
            let reason = format!(
                "copies of what holds seq {seq}: its hash is {}, and {hash} was acknowledged",
                head.hash
            );
            quarantine.copy(files, &reason)
        }
        _ => Ok(()),
    }
}
