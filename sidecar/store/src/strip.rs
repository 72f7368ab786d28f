//! Stripping: a sealed segment is written anew without the payloads that retention by type lets go. Headers, hashes and
//! idempotency keys stay, so chain and transparency log hold as before.
//!
//! The new file has a name of its own and is synced before the commit that puts it into the catalogue, together with the
//! strand's own record of what went; the old file is unlinked after that. A crash leaves one or the other in the catalogue,
//! and the next start unlinks what is in none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boboyka_strand::retention::Limit;
use boboyka_strand::{Block, PerType, Record, RecordError, RecordType, Seq, key_of};
use serde_json::{Value, json};

use crate::error::{OpenError, ReadError};
use crate::key::IdempotencyKey;
use crate::own::{data_of, is_own};
use crate::retention::Needed;
use crate::segment::{Gone, Segment, SegmentWriter};
use crate::versions::KeyHash;

const EVENT: &str = "stripped";

/// A segment to strip, and of which types.
pub(crate) struct StripTask {
    pub(crate) segment: Arc<Segment>,
    pub(crate) types: PerType<bool>,
    /// What must stay, as the caller said.
    pub(crate) needed: Needed,
    /// There is no other while this is held: two would write one file.
    pub(crate) turn: Arc<()>,
}

/// A segment that was written anew.
pub(crate) struct Stripped {
    /// What it was made of.
    pub(crate) earlier: Arc<Segment>,
    pub(crate) segment: Segment,
    /// What must stay, as the task said.
    pub(crate) needed: Needed,
    /// Payloads that went this time.
    went: PerType<u64>,
    /// Held until it is in the catalogue.
    _turn: Arc<()>,
}

/// Why a segment stays as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StripError {
    /// It can't be read; another time neither.
    #[error("could not read the segment")]
    Read(#[from] ReadError),
    /// The new file can't be written now.
    #[error("could not write the new segment")]
    Write(#[from] OpenError),
}

/// Writes a segment anew; `None` when no payload goes. The file is synced and has its name.
pub(crate) fn strip(task: &StripTask, folder: &Path) -> Result<Option<Stripped>, StripError> {
    let writer = SegmentWriter::stripping(folder, &task.segment.meta, task.types)?;
    let unfinished = writer.unfinished().to_owned();
    let stripped = Stripping::begin(task, writer).and_then(Stripping::finish);
    if !matches!(stripped, Ok(Some(_))) {
        // What there is of the file takes room, which may be what is missing.
        let _ = std::fs::remove_file(unfinished);
    }
    stripped
}

/// A segment on its way.
struct Stripping<'a> {
    task: &'a StripTask,
    writer: SegmentWriter,
    keys: BTreeMap<Seq, IdempotencyKey>,
    /// Of versions whose payload went before.
    gone_keys: BTreeMap<Seq, u64>,
    went: PerType<u64>,
}

impl<'a> Stripping<'a> {
    fn begin(task: &'a StripTask, writer: SegmentWriter) -> Result<Self, StripError> {
        Ok(Self {
            task,
            writer,
            keys: task.segment.read_keys()?,
            gone_keys: task.segment.gone_keys()?.into_iter().collect(),
            went: PerType::default(),
        })
    }

    fn finish(mut self) -> Result<Option<Stripped>, StripError> {
        let earlier = &self.task.segment;
        let open = earlier.open()?;
        for frame in open.frames() {
            for block in open.read(frame)? {
                self.take(block)?;
            }
        }
        if self.went.values().all(|went| *went == 0) {
            return Ok(None);
        }
        if self.writer.head() != earlier.meta.head {
            let why = "its blocks do not lead to its head";
            return Err(earlier.damaged(why).into());
        }
        Ok(Some(Stripped {
            earlier: Arc::clone(earlier),
            segment: self.writer.finish(earlier.meta.sealed_at_ms)?,
            needed: self.task.needed,
            went: self.went,
            _turn: Arc::clone(&self.task.turn),
        }))
    }

    fn take(&mut self, mut block: Block) -> Result<(), OpenError> {
        let (seq, kind) = (block.header.seq, block.header.record_type);
        let key = self.keys.get(&seq).copied();
        if block.is_gone() {
            let version_of = self.gone_keys.get(&seq).copied();
            return self.writer.push_gone(block, key, version_of);
        }
        // What the strand's own records say of it stays.
        if !self.task.types[kind] || is_own(&block) {
            return self.writer.push(block, key);
        }
        let version_of = key_of(kind, &block.payload).map(|key| KeyHash::of(kind, key).get());
        block.payload = Vec::new();
        self.went[kind] += 1;
        self.writer.push_gone(block, key, version_of)
    }
}

impl Stripped {
    /// The strand's own record of it, which binds the new file.
    pub(crate) fn record(&self) -> Result<Record, RecordError> {
        let meta = &self.segment.meta;
        let counts: serde_json::Map<_, _> = RecordType::ALL
            .into_iter()
            .filter(|kind| self.went[*kind] > 0)
            .map(|kind| (kind.name().to_owned(), self.went[kind].into()))
            .collect();
        let metadata = json!({
            "first_seq": meta.first_seq(),
            "last_seq": meta.head.seq,
            "counts": counts,
            "digest": self.segment.digest,
        });
        Record::own(EVENT, &metadata)
    }

    /// Whether these limits let all of it go.
    pub(crate) fn is_within(&self, limits: &PerType<Limit>) -> bool {
        let last_seq = self.segment.meta.head.seq;
        self.went
            .into_iter()
            .all(|(kind, went)| went == 0 || last_seq <= limits[kind].seq)
    }

    /// How many payloads went.
    pub(crate) fn len(&self) -> u64 {
        self.went.values().sum()
    }

    /// Has the new file removed: it does not come into the catalogue.
    pub(crate) fn discard(&self) {
        let _ = std::fs::remove_file(self.segment.path());
    }
}

/// Whether a block is the strand's own record of a stripping.
pub(crate) fn is_record(block: &Block) -> bool {
    data_of(block, EVENT).is_some()
}

/// The digest of the segment whose stripping a block is the record of, in hexadecimal.
fn bound_by(block: &Block) -> Option<String> {
    let data = data_of(block, EVENT)?;
    let digest = data.pointer("/metadata/digest").and_then(Value::as_str)?;
    Some(digest.to_owned())
}

/// Which stripped segments a check has met, and which of them the strand has a record of. The record comes after the segment.
#[derive(Default)]
pub(crate) struct Bindings {
    /// Their digests and first seqs.
    unbound: BTreeMap<String, Seq>,
    /// Records without their payload.
    pub(crate) gone: u64,
}

impl Bindings {
    /// Takes in a segment.
    pub(crate) fn meet(&mut self, segment: &Segment) {
        if segment.meta.gone.is_some() {
            let digest = segment.digest.to_string();
            self.unbound.insert(digest, segment.meta.first_seq());
        }
    }

    /// Takes in blocks that come later.
    pub(crate) fn take(&mut self, blocks: &[Block]) {
        self.gone += blocks.iter().filter(|block| block.is_gone()).count() as u64;
        if !self.unbound.is_empty() {
            for digest in blocks.iter().filter_map(bound_by) {
                self.unbound.remove(&digest);
            }
        }
    }

    /// The first seq of the oldest segment above the floor of which no record was met.
    pub(crate) fn unbound_after(&self, floor: Seq) -> Option<Seq> {
        let seqs = self.unbound.values().copied();
        seqs.filter(|seq| *seq > floor).min()
    }
}

/// Payloads that are gone of some segments.
pub(crate) fn gone(segments: &[Arc<Segment>]) -> u64 {
    let of = |segment: &Arc<Segment>| segment.meta.gone.as_ref().map_or(0, Gone::len);
    segments.iter().map(of).sum()
}
