//! One change of what is small in a strand: marks, dead letters, phase, legacy projects, floor, catalogue, gaps. Journal and ledger
//! keep these entries; the summary is what they add up to.
//!
//! An entry: tag (u8), length (u32, big-endian), and that many bytes of the value's stored form.

use std::sync::Arc;

use boboyka_strand::{RecordType, Seq};

use crate::binding::Binding;
use crate::error::Unreadable;
use crate::floor::Floor;
use crate::format::Format;
use crate::gap::Gap;
use crate::incarnation::Incarnation;
use crate::lane::{DeadLetter, Mark};
use crate::legacy::Legacy;
use crate::phase::RecordedPhase;
use crate::segment::Segment;
use crate::stored::Stored;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A lane's mark.
    Mark(RecordType, Mark),
    /// A dead letter, new or again.
    Letter(DeadLetter),
    /// A dead letter that Supabase accepted after all.
    Resolved(RecordType, Seq),
    Phase(RecordedPhase),
    /// The floor; segments, dead letters and gaps up to it are gone.
    Floor(Floor),
    /// What binds the floor.
    Binding(Binding),
    /// A segment that belongs to the catalogue.
    Segment(Segment),
    Gap(Gap),
    /// A folder in quarantine that a record of the strand tells of.
    Noted(String),
    /// What a program must know to read the strand.
    Format(Format),
    /// The incarnation of the transparency log.
    Incarnation(Incarnation),
    /// The legacy projects.
    Legacy(Arc<Legacy>),
}

/// Length of an entry before its value.
pub(crate) const ENTRY_HEAD_LEN: usize = 5;

/// The tags of entries; 1 is a run, see `journal::entry`.
const MARK: u8 = 2;
const LETTER: u8 = 3;
const RESOLVED: u8 = 4;
const PHASE: u8 = 5;
const FLOOR: u8 = 6;
const SEGMENT: u8 = 7;
const GAP: u8 = 8;
const NOTED: u8 = 9;
const BINDING: u8 = 10;
const FORMAT: u8 = 11;
const INCARNATION: u8 = 12;
const LEGACY: u8 = 13;

impl Change {
    /// Adds the change as an entry.
    pub(crate) fn put(&self, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let (tag, bytes) = match self {
            Self::Mark(lane, mark) => (MARK, (*lane, *mark).to_bytes()?),
            Self::Letter(letter) => (LETTER, letter.to_bytes()?),
            Self::Resolved(lane, seq) => (RESOLVED, (*lane, *seq).to_bytes()?),
            Self::Phase(phase) => (PHASE, phase.to_bytes()?),
            Self::Floor(floor) => (FLOOR, floor.to_bytes()?),
            Self::Binding(binding) => (BINDING, binding.to_bytes()?),
            Self::Segment(segment) => return put_segment(segment, out),
            Self::Gap(gap) => (GAP, gap.to_bytes()?),
            Self::Noted(folder) => (NOTED, folder.to_bytes()?),
            Self::Format(format) => (FORMAT, format.to_bytes()?),
            Self::Incarnation(incarnation) => (INCARNATION, incarnation.to_bytes()?),
            Self::Legacy(legacy) => (LEGACY, legacy.to_bytes()?),
        };
        put_entry(tag, &[&bytes], out)
    }

    /// The change that an entry is.
    pub(crate) fn read(tag: u8, bytes: &[u8]) -> Result<Self, Unreadable> {
        Ok(match tag {
            MARK => {
                let (lane, mark) = Stored::from_bytes(bytes)?;
                Self::Mark(lane, mark)
            }
            LETTER => Self::Letter(Stored::from_bytes(bytes)?),
            RESOLVED => {
                let (lane, seq) = Stored::from_bytes(bytes)?;
                Self::Resolved(lane, seq)
            }
            PHASE => Self::Phase(Stored::from_bytes(bytes)?),
            FLOOR => Self::Floor(Stored::from_bytes(bytes)?),
            BINDING => Self::Binding(Stored::from_bytes(bytes)?),
            SEGMENT => Self::Segment(Stored::from_bytes(bytes)?),
            GAP => Self::Gap(Stored::from_bytes(bytes)?),
            NOTED => Self::Noted(Stored::from_bytes(bytes)?),
            INCARNATION => Self::Incarnation(Stored::from_bytes(bytes)?),
            LEGACY => Self::Legacy(Arc::new(Stored::from_bytes(bytes)?)),
            FORMAT => Self::Format(Stored::from_bytes(bytes)?),
            _ => {
                let why = format!("its tag is {tag}, which a later version may know");
                return Err(unreadable(why));
            }
        })
    }
}

/// Adds a catalogued segment as an entry.
pub(crate) fn put_segment(segment: &Segment, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    put_entry(SEGMENT, &[&segment.to_bytes()?], out)
}

/// Adds an entry, its bytes in parts.
pub(crate) fn put_entry(tag: u8, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let len = u32::try_from(len).map_err(|_| unreadable(format!("{len} bytes are too many")))?;
    out.push(tag);
    out.extend_from_slice(&len.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

/// Takes the next entry off: its tag and its bytes.
pub(crate) fn take_entry<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8]), Unreadable> {
    let cut_short = || unreadable("it is cut short".to_owned());
    let (tag, after) = rest.split_first().ok_or_else(cut_short)?;
    let (len, after) = after.split_first_chunk().ok_or_else(cut_short)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    let (bytes, after) = after.split_at_checked(len).ok_or_else(cut_short)?;
    *rest = after;
    Ok((*tag, bytes))
}

fn unreadable(why: String) -> Unreadable {
    Unreadable { what: "entry", why }
}
