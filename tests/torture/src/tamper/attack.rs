//! What an attacker does to a volume.

use boboyka_strand::{Block, Head};
use fastrand::Rng;
use serde_json::json;

use super::strand::{Histories, Life, Volume, Writer};

/// One way to tamper with a strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    ChangePayload,
    ChangeHeader,
    Drop,
    Insert,
    Reorder,
    Truncate,
    TruncateWithCheckpoint,
    TruncateSigned,
    Rewrite,
    RewriteSigned,
    RaiseFloor,
    RaiseFloorSigned,
    SwapRecords,
    SwapStrands,
    SwapCheckpoints,
    RestoreOldVolume,
    Fork,
    RewriteUncosigned,
}

impl Attack {
    pub(super) const ALL: [Self; 18] = [
        Self::ChangePayload,
        Self::ChangeHeader,
        Self::Drop,
        Self::Insert,
        Self::Reorder,
        Self::Truncate,
        Self::TruncateWithCheckpoint,
        Self::TruncateSigned,
        Self::Rewrite,
        Self::RewriteSigned,
        Self::RaiseFloor,
        Self::RaiseFloorSigned,
        Self::SwapRecords,
        Self::SwapStrands,
        Self::SwapCheckpoints,
        Self::RestoreOldVolume,
        Self::Fork,
        Self::RewriteUncosigned,
    ];

    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::ChangePayload => "a record is changed",
            Self::ChangeHeader => "a header is changed, with its hash",
            Self::Drop => "a record is dropped",
            Self::Insert => "a record is inserted",
            Self::Reorder => "two records change places",
            Self::Truncate => "the end is cut off",
            Self::TruncateWithCheckpoint => "the end is cut off, and the checkpoint removed",
            Self::TruncateSigned => "the end is cut off, and the rest signed with the log's key",
            Self::Rewrite => "a suffix is rewritten consistently",
            Self::RewriteSigned => {
                "a suffix is rewritten consistently, and signed with the log's key"
            }
            Self::RaiseFloor => "the floor is raised",
            Self::RaiseFloorSigned => {
                "a suffix is rewritten, the floor raised above it, and all signed with the log's key"
            }
            Self::SwapRecords => "records are swapped with those of another strand",
            Self::SwapStrands => "the strand is swapped with another",
            Self::SwapCheckpoints => "the checkpoint is swapped with another strand's",
            Self::RestoreOldVolume => "an old volume is restored",
            Self::Fork => "a copy of an old volume goes on, signed with the log's key",
            Self::RewriteUncosigned => {
                "what no witness has cosigned yet is rewritten with the log's key"
            }
        }
    }

    /// Whether anybody remembers what it takes away.
    pub(super) const fn can_be_seen(self) -> bool {
        !matches!(self, Self::RewriteUncosigned)
    }

    /// The volume after it.
    pub(super) fn on(self, life: &Life, histories: &Histories, rng: &mut Rng) -> Volume {
        let mut volume = life.volume.clone();
        let (size, place) = (life.size(), life.cosigned_place(rng));
        let blocks = &mut volume.blocks;
        match self {
            Self::ChangePayload => {
                let at = rng.usize(..size);
                let byte = rng.usize(..blocks[at].payload.len());
                blocks[at].payload[byte] ^= 1 << rng.u8(..8);
            }
            Self::ChangeHeader => change_header(&mut blocks[rng.usize(..size)], rng),
            Self::Drop => drop(blocks.remove(rng.usize(..size))),
            Self::Insert => {
                let at = rng.usize(1..size);
                let mut writer = Writer::after(Head::of(&blocks[at - 1]), 77);
                blocks.insert(at, writer.block(&json!({"inserted": at})));
            }
            Self::Reorder => {
                let at = rng.usize(..size);
                blocks.swap(at, (at + rng.usize(1..size)) % size);
            }
            Self::Truncate => blocks.truncate(rng.usize(1..size)),
            Self::TruncateWithCheckpoint => {
                blocks.truncate(rng.usize(1..size));
                volume.checkpoint = None;
            }
            Self::TruncateSigned => {
                blocks.truncate(place);
                return volume.signed();
            }
            Self::Rewrite => rewrite(blocks, rng.usize(..size), size),
            Self::RewriteSigned => {
                rewrite(blocks, place - 1, size);
                return volume.signed();
            }
            Self::RaiseFloor => raise(&mut volume, place),
            Self::RaiseFloorSigned => {
                rewrite(blocks, place - 1, size);
                return volume.pruned(rng.usize(place..size));
            }
            Self::SwapRecords => {
                let other = histories.volume(histories.other(life.history, rng), size);
                let end = rng.usize(place..size) + 1;
                blocks[place - 1..end].clone_from_slice(&other.blocks[place - 1..end]);
            }
            Self::SwapStrands => {
                return histories.volume(histories.other(life.history, rng), size);
            }
            Self::SwapCheckpoints => {
                let other = histories.volume(histories.other(life.history, rng), size);
                volume.checkpoint = other.checkpoint;
            }
            Self::RestoreOldVolume => return histories.volume(life.history, place),
            Self::Fork => {
                rewrite(blocks, place - 1, size + rng.usize(1..40));
                return volume.signed();
            }
            Self::RewriteUncosigned => {
                let cosigned = usize::try_from(life.witness.0).unwrap();
                rewrite(blocks, cosigned, size + 1);
                return volume.signed();
            }
        }
        volume
    }
}

fn change_header(block: &mut Block, rng: &mut Rng) {
    let mut bytes = block.header.encode();
    loop {
        let (at, bit) = (rng.usize(..bytes.len()), rng.u8(..8));
        bytes[at] ^= 1 << bit;
        if let Ok(header) = boboyka_strand::Header::decode(&bytes) {
            block.header = header;
            block.hash = block.header.hash();
            return;
        }
        bytes[at] ^= 1 << bit;
    }
}

/// Writes the blocks from an index on anew, up to a size: each follows the one before.
fn rewrite(blocks: &mut Vec<Block>, from: usize, size: usize) {
    blocks.truncate(from);
    let head = blocks.last().map_or(Head::EMPTY, Head::of);
    let mut writer = Writer::after(head, 55);
    while blocks.len() < size {
        let block = writer.block(&json!({"rewritten": blocks.len()}));
        blocks.push(block);
    }
}

/// Removes records as if they had been pruned, which no record says.
fn raise(volume: &mut Volume, count: usize) {
    let floor = Head::of(&volume.blocks[count - 1]);
    volume.pruned = volume.leaves()[..count].to_vec();
    volume.blocks.drain(..count);
    volume.floor = floor;
}
