//! The tail's index, brought in line with what ledger, journal and segments say, or made anew.

use std::fs;
use std::path::Path;

use boboyka_strand::RecordType;
use uuid::Uuid;

use crate::error::{OpenError, TailError, causes};
use crate::files::{failed, make_folder, sync_folder};
use crate::quarantine::Quarantine;
use crate::summary::Summary;
use crate::tail::Tail;

/// The tail as it was found.
pub(super) enum FoundTail {
    Opened {
        tail: Tail,
        summary: Box<Summary>,
        strand: Option<Uuid>,
    },
    /// It can't be read, and why.
    Broken(String),
    /// The disk has no room for it to be opened.
    NoRoom,
}

impl FoundTail {
    /// Opens the tail in a folder.
    pub(super) fn open(folder: &Path) -> Self {
        let read = || {
            let tail = Tail::open(folder)?;
            let (summary, strand) = (tail.summary()?, tail.strand()?);
            Ok::<_, TailError>((tail, summary, strand))
        };
        match read() {
            Ok((tail, summary, strand)) => Self::Opened {
                tail,
                summary: Box::new(summary),
                strand,
            },
            Err(error) if error.is_full() => Self::NoRoom,
            Err(error) => Self::Broken(causes(&error)),
        }
    }

    /// The tail, holding `wanted`, and why it was made anew if it was. `ledger` says that there was one: then a start
    /// before this one has made the tail's strand durable.
    pub(super) fn settle(
        self,
        folder: &Path,
        strand: Uuid,
        wanted: &Summary,
        ledger: bool,
        quarantine: &Quarantine,
    ) -> Result<(Tail, Option<String>), OpenError> {
        let why = match self {
            Self::Opened {
                tail,
                summary,
                strand: known,
            } => {
                let other = match known {
                    None if ledger => Some("it holds nothing".to_owned()),
                    None => None,
                    Some(known) if known != strand => Some("it is another strand's".to_owned()),
                    Some(_) => claims_more(&summary, wanted),
                };
                let in_line = match &other {
                    None => tail.bring_in_line(&summary, wanted),
                    Some(_) => Ok(()),
                };
                match (other, in_line) {
                    (None, Ok(())) if tail.is_overgrown(wanted) && tail.has_no_runs() => {
                        drop(tail);
                        fs::remove_dir_all(folder).map_err(failed("remove", folder))?;
                        return Ok((anew(folder, strand, wanted)?, None));
                    }
                    (None, Ok(())) => {
                        if known.is_none() {
                            begin(&tail, folder, strand)?;
                        }
                        return Ok((tail, None));
                    }
                    (Some(why), _) => why,
                    (None, Err(error)) => causes(&error),
                }
            }
            Self::Broken(why) => why,
            Self::NoRoom => {
                // It frees more than a new one takes.
                fs::remove_dir_all(folder).map_err(failed("remove", folder))?;
                return Ok((anew(folder, strand, wanted)?, None));
            }
        };
        tracing::warn!(
            why,
            "the tail's index could not be used ({why}) and is made anew from ledger and journal; nothing is lost"
        );
        quarantine.set_tail_aside(folder)?;
        Ok((anew(folder, strand, wanted)?, Some(why)))
    }
}

fn anew(folder: &Path, strand: Uuid, wanted: &Summary) -> Result<Tail, OpenError> {
    make_folder(folder)?;
    let tail = Tail::open(folder).and_then(|tail| {
        tail.bring_in_line(&Summary::default(), wanted)?;
        Ok(tail)
    });
    let tail = tail.map_err(|source| OpenError::Tail {
        path: folder.to_owned(),
        source,
    })?;
    begin(&tail, folder, strand)?;
    Ok(tail)
}

/// Makes a new tail durable, names and all.
fn begin(tail: &Tail, folder: &Path, strand: Uuid) -> Result<(), OpenError> {
    let put = tail.put_strand(strand).and_then(|()| tail.flush());
    put.map_err(|source| OpenError::Tail {
        path: folder.to_owned(),
        source,
    })?;
    sync_folder(folder)
}

/// What a tail claims that is not so; it may well lag behind.
fn claims_more(found: &Summary, wanted: &Summary) -> Option<String> {
    let end = |summary: &Summary| {
        summary
            .segments
            .values()
            .last()
            .map(|kept| kept.meta.head.seq)
    };
    if found.floor.head.seq > wanted.floor.head.seq {
        return Some("its floor is above the strand's".to_owned());
    }
    if end(found) > end(wanted).max(Some(wanted.floor.head.seq)) {
        return Some("it names a segment that the strand does not have".to_owned());
    }
    let ahead = RecordType::MIRRORED
        .into_iter()
        .find(|lane| found.marks[*lane].seq > wanted.marks[*lane].seq);
    ahead.map(|lane| {
        format!(
            "its mark of the lane {} is ahead of the strand's",
            lane.name()
        )
    })
}
