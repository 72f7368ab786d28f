//! A transparency log in a folder, made of real headers: what outside verifiers are tried on beside a sidecar's.

use std::path::Path;

use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Block, Head, Record, RecordType};
use boboyka_tlog::key::Kind;
use boboyka_tlog::witness::AddCheckpoint;
use boboyka_tlog::{Bundle, Checkpoint, Note, SigningKey, Tile, TreeHash, proof, tile, tree};

/// The origin of the logs.
pub const ORIGIN: &str = "strand.example/0196c150";

/// Blocks, and the tree over their headers.
#[derive(Debug)]
pub struct Log {
    blocks: Vec<Block>,
    /// For each level of tiles its hashes: leaves, roots of 256, and so on.
    levels: Vec<Vec<TreeHash>>,
    key: SigningKey,
}

impl Log {
    /// A log of this many records.
    pub fn of(count: u64) -> Self {
        Self::forked(count, count)
    }

    /// A log whose records are those of [`Log::of`] up to a size, and others behind it.
    pub fn forked(same: u64, count: u64) -> Self {
        let records = [record("built"), record("rewritten")];
        let mut ids = RecordIds::starting_at(7);
        let mut head = Head::EMPTY;
        let blocks = (0..count).map(|index| {
            let record = records[usize::from(index >= same)].clone();
            let block = head.link(record, |ms| ids.next(ms), 1_747_000_000_000 + index);
            head = Head::of(&block);
            block
        });
        Self::over(blocks.collect())
    }

    /// The same log under another origin.
    #[must_use]
    pub fn under(mut self, origin: &str) -> Self {
        self.key = self.key.named(origin).unwrap();
        self
    }

    fn over(blocks: Vec<Block>) -> Self {
        let leaf = |block: &Block| TreeHash::of_leaf(&block.header.encode());
        let mut levels = vec![blocks.iter().map(leaf).collect::<Vec<_>>()];
        while let Some(last) = levels.last()
            && last.len() >= usize::from(tile::WIDTH)
        {
            let full = last.chunks_exact(tile::WIDTH.into());
            levels.push(full.map(tree::root_of).collect());
        }
        let key = SigningKey::from_seed(ORIGIN, Kind::Log, [7; 32]).unwrap();
        Self {
            blocks,
            levels,
            key,
        }
    }

    /// The key that signs its checkpoints, as text.
    pub fn vkey(&self) -> String {
        self.key.verifier().to_string()
    }

    /// Its records.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How many records it has.
    pub fn size(&self) -> u64 {
        self.blocks.len().try_into().unwrap()
    }

    /// The signed checkpoint of a size.
    pub fn checkpoint(&self, size: u64) -> Note {
        let Ok(root) = proof::root(&(0..size), size, &mut Tiles(self));
        Checkpoint::new(self.key.verifier().name().into(), size, root)
            .unwrap()
            .sign(&self.key)
    }

    /// The consistency proof between two sizes.
    pub fn consistency(&self, old: u64, new: u64) -> Vec<TreeHash> {
        let subtrees = proof::consistency_subtrees(old, new).unwrap();
        let Ok(hashes) = proof::roots(&subtrees, new, &mut Tiles(self));
        hashes
    }

    /// The request to cosign a size, from the size that was cosigned last.
    pub fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        AddCheckpoint {
            old,
            proof: self.consistency(old, size),
            checkpoint: self.checkpoint(size),
        }
    }

    /// The proof of a record with its header, for the checkpoint of a size.
    pub fn bundle(&self, index: u64, size: u64) -> Bundle {
        let subtrees = proof::inclusion_subtrees(index, size).unwrap();
        let Ok(hashes) = proof::roots(&subtrees, size, &mut Tiles(self));
        Bundle {
            extra: Some(self.header(index).to_vec()),
            index,
            hashes,
            checkpoint: self.checkpoint(size),
        }
    }

    /// Writes tiles, entries and the newest checkpoint, as a log serves them below its prefix.
    pub fn publish(&self, folder: &Path) {
        for tile in tile::tiles(self.size()) {
            let Ok(hashes) = proof::Tiles::tile(&mut Tiles(self), tile);
            let bytes: Vec<u8> = hashes
                .iter()
                .flat_map(TreeHash::as_bytes)
                .copied()
                .collect();
            write(folder, &tile.to_string(), &bytes);
        }
        for entries in tile::entries(self.size()) {
            let first = entries.index * u64::from(tile::WIDTH);
            let each = (first..first + u64::from(entries.width)).flat_map(|index| {
                let header = self.header(index);
                let length = u16::try_from(header.len()).unwrap().to_be_bytes();
                [&length[..], &header[..]].concat()
            });
            write(folder, &entries.to_string(), &each.collect::<Vec<_>>());
        }
        let checkpoint = self.checkpoint(self.size()).to_string();
        write(folder, "checkpoint", checkpoint.as_bytes());
    }

    fn header(&self, index: u64) -> [u8; boboyka_strand::block::HEADER_LEN] {
        self.blocks[usize::try_from(index).unwrap()].header.encode()
    }
}

/// The tiles of a log, which are all there.
struct Tiles<'a>(&'a Log);

impl proof::Tiles for Tiles<'_> {
    type Error = std::convert::Infallible;

    fn tile(&mut self, tile: Tile) -> Result<Vec<TreeHash>, Self::Error> {
        let level = &self.0.levels[usize::from(tile.level)];
        let first = usize::try_from(tile.index).unwrap() * usize::from(tile::WIDTH);
        Ok(level[first..first + usize::from(tile.width)].to_vec())
    }
}

fn record(event: &str) -> Record {
    let data = format!(r#"{{"agent_id":"deployer","event":"{event}","metadata":{{"n":[1,2.5]}}}}"#);
    Record::from_json(RecordType::AuditLog, &data).unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
