//! All keys of a type, each with its newest version at a moment, in the order of their hashes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use boboyka_strand::{Block, Head, RecordType, Seq, key_of};

use super::blocks;
use super::find::{gathered_later, lost, not_ready};
use super::history::Version;
use crate::error::{ReadError, causes};
use crate::page::Missing;
use crate::shared::Shared;
use crate::versions::{Entry, KeyHash, Piece, Source, VersionFile};

/// Keys that one page walks at most: those that came later, or were pruned, take time and give nothing.
const WALKED_MAX: usize = 20_000;

/// Which states a page is of.
#[derive(Clone, Copy, Debug)]
pub struct StatesQuery {
    /// The type of the records.
    pub record_type: RecordType,
    /// The moment.
    pub moment: Head,
    /// Where the page before ended; `None` for the first.
    pub after: Option<u64>,
    /// How many at most.
    pub limit: usize,
    /// Whether the blocks have their payloads, or an empty one each.
    pub payloads: bool,
    /// The length of all payloads at most; a page has its first version whatever its length.
    pub max_payload_bytes: usize,
}

/// A page of states.
#[derive(Debug, Default)]
pub struct States {
    /// The newest version of each key.
    pub versions: Vec<Version>,
    /// What can't be known, newest first: a key may have a newer version in there.
    pub missing: Vec<Missing>,
    /// Where the page ended; `None` after the last key. A page may be short, or empty, without being the last.
    pub next: Option<u64>,
}

/// A page of states.
///
/// # Errors
/// The versions are not gathered yet.
pub(crate) fn states(shared: &Shared, query: &StatesQuery) -> Result<States, ReadError> {
    let mut walk = Walk::begin(shared, query)?;
    let walked = walk.keys(query);
    let (found, next) = walked.map_err(|failed| failed.answer(shared))?;
    let read = Reading::of(shared, query, &found);
    let mut page = States {
        missing: walk.missing,
        next,
        ..States::default()
    };
    if let Some(cut) = read.cut {
        let last = cut.checked_sub(1).and_then(|last| found.get(last));
        page.next = last.map(|(key, _)| key.get());
    }
    for (_, outcome) in read.outcomes {
        match outcome {
            Ok(version) => page.versions.push(version),
            Err(missing) => page.missing.push(missing),
        }
    }
    page.missing
        .sort_by_key(|missing| std::cmp::Reverse(missing.first_seq));
    Ok(page)
}

/// Blocks that are read in the order of the strand, for a page in another order.
#[derive(Default)]
struct Reading {
    /// By their places on the page.
    outcomes: BTreeMap<usize, Result<Version, Missing>>,
    bytes: usize,
    /// The first place for which there was no room.
    cut: Option<usize>,
}

impl Reading {
    fn of(shared: &Shared, query: &StatesQuery, found: &[(KeyHash, Seq)]) -> Self {
        let seqs: BTreeSet<Seq> = found.iter().map(|(_, seq)| *seq).collect();
        let places = found.iter().enumerate();
        let places: HashMap<Seq, usize> = places.map(|(place, (_, seq))| (*seq, place)).collect();
        let mut reading = Self::default();
        blocks::read(shared, &seqs, |(seq, block)| {
            if let Some(place) = places.get(&seq) {
                let version = block.map_err(|error| causes(&error));
                let version = version.and_then(|block| version_in(block, query));
                let version = version.map_err(|why| Missing {
                    first_seq: seq,
                    last_seq: seq,
                    why,
                });
                reading.take(*place, version, query.max_payload_bytes);
            }
        });
        reading
    }

    /// Keeps what comes first on the page, as far as there is room.
    fn take(&mut self, place: usize, version: Result<Version, Missing>, max_bytes: usize) {
        if self.cut.is_some_and(|cut| place >= cut) {
            return;
        }
        self.bytes += len_of(&version);
        self.outcomes.insert(place, version);
        while self.bytes > max_bytes
            && self.outcomes.len() > 1
            && let Some((last, version)) = self.outcomes.pop_last()
        {
            self.bytes -= len_of(&version);
            self.cut = Some(last);
        }
    }
}

fn len_of(version: &Result<Version, Missing>) -> usize {
    let payload = version.as_ref().map(|version| version.block.payload.len());
    payload.unwrap_or_default()
}

fn version_in(mut block: Block, query: &StatesQuery) -> Result<Version, String> {
    if block.is_gone() {
        return Err("its payload is gone: retention by type let it go".to_owned());
    }
    let key = key_of(query.record_type, &block.payload);
    let key = key.ok_or("the record is not the one that its version file leads to")?;
    let key = key.to_owned();
    if !query.payloads {
        block.payload = Vec::new();
    }
    Ok(Version { key, block })
}

/// Sorted entries from everywhere, side by side.
struct Walk {
    sources: Vec<Source>,
    missing: Vec<Missing>,
    floor: Seq,
}

/// Keys with a seq each, and where the walk ended if there may be more.
type Keys = (Vec<(KeyHash, Seq)>, Option<u64>);

/// A version file that can't be read.
struct Failed(Option<Arc<VersionFile>>, io::Error);

impl Failed {
    fn answer(self, shared: &Shared) -> ReadError {
        match self {
            Self(Some(file), error) => not_ready(shared, &file, &error),
            Self(None, _) => ReadError::NotReady { first: 0, last: 0 },
        }
    }
}

impl Walk {
    fn begin(shared: &Shared, query: &StatesQuery) -> Result<Self, ReadError> {
        let (lists, sealed, floor, gaps) = {
            let state = shared.state();
            let memory = state.memory();
            let (sealed, floor) = (memory.sealed(), memory.floor().head.seq);
            let lists = memory.tail_versions().lists();
            (lists, sealed, floor, memory.gaps().to_vec())
        };
        let at_most = query.moment.seq;
        let mut sources: Vec<_> = lists.into_iter().map(Source::of_entries).collect();
        let mut missing: Vec<_> = lost(&gaps, floor, at_most).collect();
        let cover = shared.versions.cover();
        let within = |piece: &&Piece| piece.first() <= at_most.min(sealed) && piece.last() > floor;
        for piece in cover.pieces().iter().filter(within) {
            match piece {
                Piece::File(file) => sources.push(Source::of_file(file)),
                Piece::Wanted(wanted) => return Err(gathered_later(wanted)),
                Piece::Unreadable { first, last, why } => missing.push(Missing {
                    first_seq: *first,
                    last_seq: (*last).min(at_most),
                    why: why.to_string(),
                }),
            }
        }
        Ok(Self {
            sources,
            missing,
            floor,
        })
    }

    /// The next keys with their newest version at the moment, and where the walk ended if there may be more.
    fn keys(&mut self, query: &StatesQuery) -> Result<Keys, Failed> {
        let begin = KeyHash::first_of(query.record_type);
        let begin = query
            .after
            .map_or(begin, |after| KeyHash::new(after).next());
        self.seek(Entry::first_of(begin))?;
        let mut found = Vec::new();
        for _ in 0..WALKED_MAX {
            let next = self.sources.iter().filter_map(Source::peek).min();
            let next = next.filter(|entry| entry.key.is_of(query.record_type));
            let Some(Entry { key, .. }) = next else {
                return Ok((found, None));
            };
            if let Some(seq) = self.newest(key, query.moment.seq)? {
                found.push((key, seq));
            }
            self.seek(Entry::first_of(key.next()))?;
            if found.len() >= query.limit {
                let more = self.has_more(query).then(|| key.get());
                return Ok((found, more));
            }
        }
        let reached = self.sources.iter().filter_map(Source::peek).min();
        let reached = reached.map(|entry| entry.key.get().saturating_sub(1));
        Ok((found, reached))
    }

    fn has_more(&self, query: &StatesQuery) -> bool {
        let mut next = self.sources.iter().filter_map(Source::peek);
        next.any(|entry| entry.key.is_of(query.record_type))
    }

    /// The newest version of a key that is not above a seq.
    fn newest(&mut self, key: KeyHash, at_most: Seq) -> Result<Option<Seq>, Failed> {
        self.seek(Entry::new(key, at_most))?;
        let here = self.sources.iter().filter_map(Source::peek);
        let seqs = here.filter(|entry| entry.key == key).map(Entry::seq);
        Ok(seqs.max().filter(|seq| *seq > self.floor))
    }

    fn seek(&mut self, target: Entry) -> Result<(), Failed> {
        for source in &mut self.sources {
            let sought = source.seek(target);
            sought.map_err(|error| Failed(source.file().cloned(), error))?;
        }
        Ok(())
    }
}
