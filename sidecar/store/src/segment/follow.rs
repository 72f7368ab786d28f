//! Following the chain through a run.

use boboyka_strand::{Block, Break, ChainError, Head, run};

/// Follows a run block by block: its hashes were computed from what was read, `prefixes` and the
/// run's last hash are what was recorded.
pub(crate) fn follow_run(
    at: Head,
    run: &run::Run,
    prefixes: impl Iterator<Item = u32>,
) -> Result<Head, ChainError> {
    let mut differs = None;
    let followed = follow(at, run, prefixes, &mut differs);
    differs.map_or(followed, Err)
}

/// The same; the first block whose hash is not the recorded one is noted in `differs`, and the walk goes on.
pub(super) fn follow(
    mut at: Head,
    run: &run::Run,
    mut prefixes: impl Iterator<Item = u32>,
    differs: &mut Option<ChainError>,
) -> Result<Head, ChainError> {
    for block in &run.blocks {
        at = at.follow(block)?;
        if let Some(prefix) = prefixes.next()
            && prefix != block.hash.prefix()
        {
            let (seq, reason) = (at.seq, Break::Altered { prefix });
            differs.get_or_insert(ChainError { seq, reason });
        }
    }
    if at.hash == run.last_hash {
        Ok(at)
    } else {
        let reason = Break::Hash {
            expected: run.last_hash,
            found: at.hash,
        };
        Err(ChainError {
            seq: run.blocks.last().map_or(at.seq, seq_of),
            reason,
        })
    }
}

fn seq_of(block: &Block) -> u64 {
    block.header.seq
}
