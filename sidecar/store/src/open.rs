//! Opening a data folder: what the disk holds, checked, put in order, and into memory.
//!
//! A crash can leave a segment that is not catalogued, runs that are sealed already, an unfinished
//! file, a run of which pieces are missing at the very end: all of these are put right silently,
//! since nothing acknowledged is in them alone. Everything else that does not fit is quarantined.

mod catalogue;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use boboyka_strand::{Head, PerType, RecordType, run};
use uuid::Uuid;

use self::catalogue::{catalogue, finish_pruning};
use crate::anchor::Anchor;
use crate::error::{OpenError, TailError, causes};
use crate::files::{failed, sync_folder};
use crate::floor::Floor;
use crate::keys::{Keys, is_forgotten};
use crate::lane::Mark;
use crate::memory::Memory;
use crate::phase::RecordedPhase;
use crate::pruned::PrunedIndex;
use crate::quarantine::Quarantine;
use crate::segment::follow_run;
use crate::state::State;
use crate::tail::{FoundRun, Tail};
use crate::tail_run::{self, TailEntry, TailRun};
use crate::witness::Witness;

/// A data folder, opened.
pub(crate) struct Opened {
    pub(crate) tail: Tail,
    pub(crate) state: State,
    pub(crate) keys: Keys,
    pub(crate) strand: Uuid,
    pub(crate) witness: Witness,
    pub(crate) segments_folder: PathBuf,
}

/// Opens the tail and the segments of a data folder, which is locked already.
pub(crate) fn open(
    data_dir: &Path,
    quarantine: &Quarantine,
    now_ms: u64,
) -> Result<Opened, OpenError> {
    let (tail_folder, segments_folder) = (data_dir.join("tail"), data_dir.join("segments"));
    for folder in [&tail_folder, &segments_folder] {
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
    }
    sync_folder(data_dir)?;
    // The witness is made once the tail is durable.
    let used_before = Witness::is_in(data_dir) || has_files(&segments_folder);
    let tail = Tail::open(&tail_folder, used_before, quarantine)?;
    let broken = |source| OpenError::Tail {
        path: tail_folder.clone(),
        source,
    };

    let anchor = Anchor::read(data_dir);
    let strand = tail.strand().map_err(broken)?;
    // Another strand's anchor says nothing of this one.
    let anchor = anchor.filter(|anchor| strand.is_none_or(|strand| strand == anchor.strand));
    let floor = floor_of(&tail, anchor.as_ref()).map_err(broken)?;
    let segments = catalogue(&tail, &segments_folder, &floor, quarantine, &broken)?;
    let known = || segments.last().map(|segment| segment.meta.strand);
    let strand = strand
        .or_else(|| anchor.map(|anchor| anchor.strand))
        .or_else(known)
        .unwrap_or_else(Uuid::new_v4);
    tail.put_strand(strand).map_err(broken)?;
    let index = PrunedIndex::of(data_dir);
    finish_pruning(&index, &segments_folder, &floor)?;

    let mut keys = Keys::default();
    let segments: Vec<_> = segments.into_iter().map(Arc::new).collect();
    for segment in &segments {
        if !is_forgotten(segment.meta.head.hlc.ms(), now_ms)
            && let Err(error) = keys.insert_segment(Arc::clone(segment))
        {
            tracing::error!(
                error = causes(&error),
                "could not read a segment's idempotency keys"
            );
        }
    }
    let mut head = segments
        .last()
        .map_or(floor.head, |segment| segment.meta.head);
    let mut memory = Memory::new(floor, segments);
    for run in tail_runs(&tail, head, quarantine, &broken)? {
        head = run.head;
        keys.insert_run(&run);
        memory.push(Arc::new(run));
    }
    let marks = read_marks(&tail, head, &floor).map_err(broken)?;
    let recorded = settle_phase(&tail, anchor.as_ref(), &memory).map_err(broken)?;
    tail.commit().map_err(broken)?;
    keep_anchor(data_dir, strand, floor, recorded, anchor.as_ref());
    let witness = Witness::open(data_dir)?;
    tell_what_is_lost(&witness, head, &tail_folder, quarantine)?;
    Ok(Opened {
        tail,
        state: State::new(memory, recorded.map(|recorded| recorded.state), marks),
        keys,
        strand,
        witness,
        segments_folder,
    })
}

fn has_files(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some())
}

/// Where the strand begins: what the tail says, or its copy when the tail is lost.
fn floor_of(tail: &Tail, anchor: Option<&Anchor>) -> Result<Floor, TailError> {
    let floor = tail.floor()?.unwrap_or_default();
    match anchor {
        Some(anchor) if anchor.floor.head.seq > floor.head.seq => {
            tail.put_floor(&anchor.floor)?;
            Ok(anchor.floor)
        }
        _ => Ok(floor),
    }
}

/// The phase that counts: the one whose record the strand holds.
fn settle_phase(
    tail: &Tail,
    anchor: Option<&Anchor>,
    memory: &Memory,
) -> Result<Option<RecordedPhase>, TailError> {
    let kept = tail.phase()?;
    let Some(found) = kept.or_else(|| anchor.and_then(|anchor| anchor.phase)) else {
        return Ok(None);
    };
    let phase = found.in_force(|seq, hash| memory.holds(seq, &hash));
    let recorded = phase.map(|state| RecordedPhase {
        state,
        record: found.record.filter(|_| state == found.state),
        before: found.before.filter(|_| state == found.state),
    });
    match recorded {
        Some(recorded) => tail.put_phase(&recorded)?,
        None => tail.remove_phase()?,
    }
    Ok(recorded)
}

/// Brings the tail's copy of floor and phase in line with it.
fn keep_anchor(
    data_dir: &Path,
    strand: Uuid,
    floor: Floor,
    phase: Option<RecordedPhase>,
    found: Option<&Anchor>,
) {
    let anchor = Anchor {
        strand,
        floor,
        phase,
    };
    let needed = phase.is_some() || floor != Floor::default();
    if needed && found != Some(&anchor) {
        anchor.keep(data_dir);
    }
}

/// Quarantines a copy of the tail when it ends before what was acknowledged, or elsewhere.
fn tell_what_is_lost(
    witness: &Witness,
    head: Head,
    tail_folder: &Path,
    quarantine: &Quarantine,
) -> Result<(), OpenError> {
    let Some((seq, hash)) = witness.last()? else {
        return Ok(());
    };
    if seq > head.seq || (seq == head.seq && hash != head.hash) {
        let reason = format!(
            "a copy of the tail's log, which ends at seq {} (hash {}) although seq {seq} (hash {hash}) \
             was acknowledged: what lay between is lost, and the strand goes on from its end",
            head.seq, head.hash
        );
        let log = tail_folder.join("db");
        let bytes = fs::read(&log).map_err(failed("read", &log))?;
        quarantine.keep(&[("db".to_owned(), bytes)], &reason)?;
        let path = tail_folder.with_file_name("acknowledged");
        witness.note(&head).map_err(failed("write", &path))?;
    }
    Ok(())
}

/// The tail's runs that follow `head`; sealed ones are removed, broken ones quarantined.
fn tail_runs(
    tail: &Tail,
    mut head: Head,
    quarantine: &Quarantine,
    broken: &impl Fn(TailError) -> OpenError,
) -> Result<Vec<TailRun>, OpenError> {
    let mut runs = Vec::new();
    let mut found = tail.runs().map_err(broken)?.into_iter();
    while let Some(raw) = found.next() {
        if raw.first_seq <= head.seq && runs.is_empty() {
            tail.remove_run(raw.first_seq, u8::MAX).map_err(broken)?;
            continue;
        }
        match check_run(head, &raw) {
            Ok(run) => {
                head = run.head;
                runs.push(run);
            }
            Err(why) => {
                let rest: Vec<_> = std::iter::once(raw).chain(found).collect();
                set_aside(tail, head, &rest, &why, quarantine, broken)?;
                break;
            }
        }
    }
    Ok(runs)
}

fn check_run(before: Head, raw: &FoundRun) -> Result<TailRun, String> {
    let unpacked = tail_run::unpack(&raw.bytes).map_err(|error| causes(&error))?;
    let run = run::read(&unpacked.run).map_err(|error| error.to_string())?;
    let head = follow_run(before, &run, unpacked.prefixes.iter().copied())
        .map_err(|error| error.to_string())?;
    let mut entries: Vec<_> = run
        .blocks
        .iter()
        .map(|block| TailEntry::of(block, None))
        .collect();
    for (position, key) in unpacked.keys {
        if let Some(entry) = entries.get_mut(position) {
            entry.key = Some(key);
        }
    }
    let (entries, bytes) = (
        entries.into_boxed_slice(),
        raw.bytes.clone().into_boxed_slice(),
    );
    Ok(TailRun {
        before,
        head,
        entries,
        bytes,
        pieces: raw.pieces,
    })
}

/// Takes runs that do not follow `head` out of the tail.
fn set_aside(
    tail: &Tail,
    head: Head,
    runs: &[FoundRun],
    why: &str,
    quarantine: &Quarantine,
    broken: &impl Fn(TailError) -> OpenError,
) -> Result<(), OpenError> {
    let cut_short = matches!(runs, [only] if !only.complete);
    if cut_short {
        tracing::info!(
            after = head.seq,
            "dropped a run that was cut short before its commit"
        );
    } else {
        let files: Vec<_> = runs
            .iter()
            .map(|run| (format!("{:020}.run", run.first_seq), run.bytes.clone()))
            .collect();
        let reason = format!(
            "runs of the tail behind seq {} that do not follow it: {why}; the strand goes on from \
             there",
            head.seq
        );
        quarantine.keep(&files, &reason)?;
    }
    for run in runs {
        tail.remove_run(run.first_seq, u8::MAX).map_err(broken)?;
    }
    tail.commit().map_err(broken)
}

/// The lanes' marks, none beyond the head: the seqs of quarantined blocks are
/// given out again.
fn read_marks(tail: &Tail, head: Head, floor: &Floor) -> Result<PerType<Mark>, TailError> {
    let mut marks = PerType::<Mark>::default();
    for lane in RecordType::ALL {
        let mut mark = tail.mark(lane)?;
        if mark.seq < floor.head.seq {
            // What was pruned and mirrored is mirrored, also when the mark of it was not durable yet.
            mark.seq = floor.head.seq;
            mark.mirrored = floor.counts[lane].saturating_sub(floor.unmirrored[lane]);
        }
        mark.dead_lettered = tail.letters_len(lane);
        if mark.seq > head.seq {
            let (lane, mark, head) = (lane.name(), mark.seq, head.seq);
            tracing::error!(
                lane,
                mark,
                head,
                "the mark of lane {lane} is set back from {mark} to the head, {head}"
            );
        }
        mark.seq = mark.seq.min(head.seq);
        marks[lane] = mark;
    }
    Ok(marks)
}
