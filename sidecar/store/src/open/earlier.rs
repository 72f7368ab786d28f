//! What a strand without a ledger has: one of an earlier version, which kept everything in the tail and a copy of
//! floor and phase in `anchor`; one whose first start was cut short; one whose ledger is lost.
//!
//! The runs found here are written into the journal like those found there, and leave the tail once the ledger is
//! durable: a crash at any point leaves one of the two whole.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::chain::decode;
use super::index::FoundTail;
use crate::anchor::{self, Anchor};
use crate::error::{OpenError, TailError, causes};
use crate::files::failed;
use crate::floor::Floor;
use crate::journal::entry::RawRun;
use crate::options::Options;
use crate::quarantine::Quarantine;
use crate::summary::Summary;
use crate::tail::Tail;
use crate::witness::Witness;

/// What was found in place of a ledger.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) summary: Summary,
    pub(super) runs: Vec<RawRun>,
    pub(super) strand: Option<Uuid>,
    /// The tail's log.
    pub(super) log: Option<PathBuf>,
}

/// Reads what there is in place of a ledger.
pub(super) fn read(
    options: &Options,
    found: &FoundTail,
    quarantine: &Quarantine,
) -> Result<Earlier, OpenError> {
    let data_dir = &options.data_dir;
    let used = !options.from_segments && is_used(data_dir)?;
    let log = data_dir.join("tail").join("db");
    let mut earlier = Earlier {
        log: log.exists().then(|| log.clone()),
        ..Earlier::default()
    };
    let damage = match found {
        FoundTail::Opened {
            tail,
            summary,
            strand,
        } => {
            earlier.summary = Summary::clone(summary);
            earlier.strand = *strand;
            match runs_of(tail, summary) {
                Ok(runs) => {
                    earlier.runs = runs;
                    strand.is_none().then(|| "it holds nothing".to_owned())
                }
                Err(error) => Some(causes(&error)),
            }
        }
        FoundTail::Broken(why) => Some(why.clone()),
        FoundTail::NoRoom => {
            return Err(OpenError::Io {
                doing: "open the tail without free space in",
                path: data_dir.to_owned(),
                source: io::ErrorKind::StorageFull.into(),
            });
        }
    };
    if let Some(why) = damage.filter(|_| used) {
        let reason = format!(
            "a copy of the tail, which could not be read ({why}); the strand goes on with what lies elsewhere"
        );
        quarantine.copy(earlier.log.as_slice(), &reason)?;
    }
    let anchor = Anchor::read(data_dir);
    // Another strand's anchor says nothing of this one.
    let own = |anchor: &Anchor| earlier.strand.is_none_or(|strand| strand == anchor.strand);
    if let Some(anchor) = anchor.filter(own) {
        earlier.strand = Some(anchor.strand);
        earlier.take_anchor(&anchor);
    }
    let listed = quarantine.list().into_iter().map(|found| found.folder);
    earlier.summary.noted = listed.collect::<BTreeSet<_>>();
    Ok(earlier)
}

impl Earlier {
    fn take_anchor(&mut self, anchor: &Anchor) {
        let floor: &Floor = &anchor.floor;
        if floor.head.seq > self.summary.floor.head.seq {
            self.summary.floor = *floor;
        }
        self.summary.phase = self.summary.phase.or(anchor.phase);
    }
}

/// Whether records were acknowledged in a data folder.
fn is_used(data_dir: &Path) -> Result<bool, OpenError> {
    let segments = fs::read_dir(data_dir.join("segments"));
    let sealed = segments.is_ok_and(|mut files| files.next().is_some());
    if sealed || !Witness::is_in(data_dir) {
        return Ok(sealed);
    }
    Ok(Witness::open(data_dir)?.last()?.is_some())
}

/// The tail's runs behind its segments. The last one may have been cut short before its commit.
fn runs_of(tail: &Tail, summary: &Summary) -> Result<Vec<RawRun>, TailError> {
    let sealed = summary.segments.values().last();
    let mut head = sealed.map_or(summary.floor.head, |segment| segment.meta.head);
    let mut runs = Vec::new();
    for found in tail.runs()? {
        if found.first_seq <= head.seq || !found.complete {
            continue;
        }
        let raw = RawRun {
            first_seq: found.first_seq,
            hlc_before: head.hlc.get(),
            bytes: found.bytes,
        };
        if let Ok(run) = decode(&raw) {
            head = run.head;
        }
        runs.push(raw);
    }
    Ok(runs)
}

/// Removes what an earlier version kept, after ledger and journal hold it.
pub(super) fn forget(data_dir: &Path, tail: &Tail) -> Result<(), OpenError> {
    tail.remove_runs().map_err(|source| OpenError::Tail {
        path: data_dir.join("tail"),
        source,
    })?;
    let path = anchor::path_in(data_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", &path)(error))
        }
        _ => Ok(()),
    }
}
