//! Strands as they lie on a volume, their lives, and what a witness remembers of them.

use std::sync::Arc;

use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Block, Head, Record, RecordType};
use boboyka_tlog::key::Kind;
use boboyka_tlog::{Checkpoint, Note, SigningKey, TreeHash, VerifierKey, tree};
use fastrand::Rng;
use serde_json::{Value, json};

/// Records of each history.
const LENGTH: usize = 160;
/// A witness is at most this many records behind the strand: half a minute, in a real one.
const LAG_MAX: u64 = 6;

/// Histories that lives are parts of.
pub(super) struct Histories(Vec<History>);

struct History {
    key: Arc<SigningKey>,
    blocks: Vec<Block>,
    /// The signed checkpoint of each size.
    checkpoints: Vec<Note>,
}

/// What somebody who has the volume can change.
#[derive(Clone)]
pub(super) struct Volume {
    /// The key beside the strand; its name is the origin.
    pub(super) key: Arc<SigningKey>,
    /// What is below was pruned.
    pub(super) floor: Head,
    /// Leaf hashes of what was pruned.
    pub(super) pruned: Vec<TreeHash>,
    pub(super) blocks: Vec<Block>,
    /// The last signed checkpoint.
    pub(super) checkpoint: Option<Note>,
}

/// A strand that lived honestly, and what a witness cosigned last.
pub(super) struct Life {
    /// Which history it is of.
    pub(super) history: usize,
    pub(super) volume: Volume,
    pub(super) witness: (u64, TreeHash),
}

impl Histories {
    pub(super) fn new() -> Self {
        Self((0..8).map(History::new).collect())
    }

    /// The volume of a history after this many records, with a checkpoint over all of them.
    pub(super) fn volume(&self, history: usize, size: usize) -> Volume {
        let history = &self.0[history];
        Volume {
            key: Arc::clone(&history.key),
            floor: Head::EMPTY,
            pruned: Vec::new(),
            blocks: history.blocks[..size].to_vec(),
            checkpoint: Some(history.checkpoints[size].clone()),
        }
    }

    /// Another history than this one.
    pub(super) fn other(&self, history: usize, rng: &mut Rng) -> usize {
        (history + rng.usize(1..self.0.len())) % self.0.len()
    }
}

impl History {
    fn new(number: u8) -> Self {
        let origin = format!("strand.example/{number}/1");
        let key = SigningKey::from_seed(&origin, Kind::Log, [number; 32]).unwrap();
        let mut writer = Writer::after(Head::EMPTY, u64::from(number));
        let blocks = (0..LENGTH).map(|n| writer.block(&json!({"n": n, "of": number})));
        let blocks: Vec<Block> = blocks.collect();
        let leaves = blocks.iter().map(leaf).collect::<Vec<_>>();
        let checkpoint = |size: usize| {
            let root = tree::root_of(&leaves[..size]);
            let checkpoint = Checkpoint::new(origin.clone(), size as u64, root);
            checkpoint.unwrap().sign(&key)
        };
        Self {
            checkpoints: (0..=LENGTH).map(checkpoint).collect(),
            key: Arc::new(key),
            blocks,
        }
    }

    fn root(&self, size: u64) -> TreeHash {
        let note = &self.checkpoints[usize::try_from(size).unwrap()];
        Checkpoint::of_note(note).unwrap().root()
    }
}

fn leaf(block: &Block) -> TreeHash {
    TreeHash::of_leaf(&block.header.encode())
}

impl Life {
    pub(super) fn random(histories: &Histories, rng: &mut Rng) -> Self {
        let (history, size) = (rng.usize(..histories.0.len()), rng.usize(12..LENGTH - 20));
        let volume = histories.volume(history, size);
        let cosigned = size as u64 - rng.u64(..=LAG_MAX);
        let witness = (cosigned, histories.0[history].root(cosigned));
        Self {
            history,
            volume,
            witness,
        }
    }

    /// The key that everybody knows the log by.
    pub(super) fn identity(&self) -> VerifierKey {
        self.volume.key.verifier().clone()
    }

    pub(super) fn size(&self) -> usize {
        self.volume.blocks.len()
    }

    /// A place that the witness has cosigned, as an index of blocks.
    pub(super) fn cosigned_place(&self, rng: &mut Rng) -> usize {
        let cosigned = usize::try_from(self.witness.0).unwrap();
        rng.usize(1..cosigned)
    }

    /// What becomes of it without an attacker.
    pub(super) fn goes_on(&self, histories: &Histories, rng: &mut Rng) -> (&'static str, Volume) {
        let more = self.size() + rng.usize(0..20);
        let grown = histories.volume(self.history, more);
        match rng.u8(..4) {
            0 => ("a restart", self.volume.clone()),
            1 => ("the strand grows", grown),
            2 => (
                "the strand grows and is pruned",
                grown.pruned(rng.usize(1..more - 1)),
            ),
            // A crash between a commit and the next checkpoint.
            _ => {
                let checkpoint = self.volume.checkpoint.clone();
                let ahead = Volume {
                    checkpoint,
                    ..grown
                };
                ("records behind the last checkpoint", ahead)
            }
        }
    }
}

impl Volume {
    pub(super) fn size(&self) -> u64 {
        (self.pruned.len() + self.blocks.len()) as u64
    }

    pub(super) fn leaves(&self) -> Vec<TreeHash> {
        let held = self.blocks.iter().map(leaf);
        self.pruned.iter().copied().chain(held).collect()
    }

    /// With a checkpoint over all it has, signed by the key beside it.
    pub(super) fn signed(mut self) -> Self {
        let (origin, size) = (self.key.verifier().name().to_owned(), self.size());
        let root = tree::root_of(&self.leaves());
        let checkpoint = Checkpoint::new(origin, size, root).unwrap();
        self.checkpoint = Some(checkpoint.sign(&self.key));
        self
    }

    /// Pruned of this many records, with the record that binds the floor, and a checkpoint.
    pub(super) fn pruned(mut self, count: usize) -> Self {
        let floor = Head::of(&self.blocks[count - 1]);
        let mut writer = Writer::after(Head::of(self.blocks.last().unwrap()), 99);
        self.blocks.push(writer.block(&binding(&floor)));
        let leaves = self.leaves();
        self.pruned = leaves[..self.pruned.len() + count].to_vec();
        self.blocks.drain(..count);
        self.floor = floor;
        self.signed()
    }

    /// Whether a record binds the floor.
    pub(super) fn is_bound(&self) -> bool {
        let floor = self.floor.hash.to_string();
        let names = |block: &Block| {
            block
                .payload
                .windows(floor.len())
                .any(|part| part == floor.as_bytes())
        };
        self.floor.seq == 0 || self.blocks.iter().any(names)
    }
}

fn binding(floor: &Head) -> Value {
    json!({"floor": floor.hash.to_string()})
}

/// Writes blocks behind a head.
pub(super) struct Writer {
    head: Head,
    ids: RecordIds,
    ms: u64,
}

impl Writer {
    pub(super) fn after(head: Head, seed: u64) -> Self {
        Self {
            head,
            ids: RecordIds::starting_at(u128::from(seed)),
            ms: 1_747_000_000_000 + head.seq * 10 + seed,
        }
    }

    /// The next block.
    pub(super) fn block(&mut self, metadata: &Value) -> Block {
        let data = json!({"agent_id": "a", "event": "e", "metadata": metadata});
        let record = Record::from_json(RecordType::AuditLog, &data.to_string()).unwrap();
        self.ms += 10;
        let ids = &mut self.ids;
        let block = self.head.link(record, |ms| ids.next(ms), self.ms);
        self.head = Head::of(&block);
        block
    }
}
