//! The transparency log's tree at opening; also what it needs of pruned blocks whose files a crash left.

use std::path::Path;
use std::sync::Arc;

use boboyka_strand::Seq;
use uuid::Uuid;

use super::catalogue::below_floor;
use crate::error::{OpenError, causes};
use crate::files::make_folder;
use crate::memory::Memory;
use crate::segment::Segment;
use crate::signing::Signing;
use crate::tlog::{self, FOLDER, Grown, Holders, Kept, Pins, Tree, TreeFile, build};

/// The tree and its file, or why it can't be had: then the strand is served without its transparency log.
pub(super) fn grow_tree(
    data_dir: &Path,
    strand: Uuid,
    memory: &Memory,
) -> Result<(Option<Tree>, Result<TreeFile, String>), OpenError> {
    let folder = data_dir.join(FOLDER);
    let kept = Kept::of(data_dir);
    let left = below_floor(&data_dir.join("segments"), memory.floor())?;
    let left = left
        .iter()
        .filter_map(|path| Segment::discover(path).ok())
        .map(Arc::new);
    let mut holders = memory.holders(1..=Seq::MAX);
    holders.segments = left.chain(holders.segments).collect();
    let ends = (memory.sealed(), memory.head().seq);
    // A full disk takes the log away, and not the strand.
    let built = make_folder(&folder)
        .map_err(|error| causes(&error))
        .and_then(|()| {
            build(&folder, strand, &mut holders, &kept, ends).map_err(|error| causes(&error))
        });
    match built {
        Ok(Grown { tree, file }) => {
            let signed = Signing::of(data_dir, strand, None).last_size();
            keep_below(&holders, &kept, &Pins::open(data_dir), signed);
            Ok((Some(tree), Ok(file)))
        }
        Err(why) => {
            tracing::error!(
                why,
                "the strand's transparency log can't be had ({why}): no checkpoint is signed until a start finds what is missing"
            );
            Ok((None, Err(why)))
        }
    }
}

/// Keeps what is needed of the blocks below the floor whose files are still there.
fn keep_below(holders: &Holders, kept: &Kept, pins: &Pins, signed: Option<u64>) {
    for tile in pins.needed_tiles(signed, holders.floor) {
        if let Err(error) = tlog::keep(holders, kept, tile) {
            let error = causes(&error);
            tracing::error!(
                error,
                tile,
                "the transparency log can't keep the pruned entries of tile {tile}: proofs that need them can't be made"
            );
        }
    }
}
