//! What tells of a tampering, in the order in which it is asked: the chain, the checkpoint beside the strand, the witness.

use std::ops::Range;

use boboyka_tlog::witness::{AddCheckpoint, Refusal, decide};
use boboyka_tlog::{Checkpoint, TreeHash, VerifierKey, proof, tree};

use super::strand::Volume;

/// What told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    Chain(String),
    Checkpoint(String),
    Witness(String),
}

/// The first that tells that the volume is not what it was, if one does.
pub(super) fn detect(
    volume: &Volume,
    known: &VerifierKey,
    witness: &(u64, TreeHash),
) -> Option<By> {
    if let Some(why) = chain(volume) {
        return Some(By::Chain(why));
    }
    let leaves = volume.leaves();
    let by_checkpoint = checkpoint(volume, &leaves, known).map(By::Checkpoint);
    by_checkpoint.or_else(|| witnessed(volume, &leaves, known, witness).map(By::Witness))
}

fn chain(volume: &Volume) -> Option<String> {
    let mut head = volume.floor;
    for block in &volume.blocks {
        match head.follow(block) {
            Ok(next) => head = next,
            Err(error) => return Some(error.to_string()),
        }
    }
    (!volume.is_bound()).then(|| "no record names the floor".to_owned())
}

fn checkpoint(volume: &Volume, leaves: &[TreeHash], known: &VerifierKey) -> Option<String> {
    let Some(note) = &volume.checkpoint else {
        return Some("the file of the last signed checkpoint is missing".to_owned());
    };
    let (signed, _) = match Checkpoint::verify(note, std::slice::from_ref(known)) {
        Ok(signed) => signed,
        Err(error) => return Some(error.to_string()),
    };
    let size = usize::try_from(signed.size()).unwrap();
    match leaves.get(..size).map(tree::root_of) {
        Some(root) if root == signed.root() => None,
        Some(_) => Some("the strand has other records".to_owned()),
        None => Some("the strand has fewer records".to_owned()),
    }
}

/// What the sidecar on this volume and the witness make of each other: it is asked as if for the first time, and again from
/// the size that it names.
fn witnessed(
    volume: &Volume,
    leaves: &[TreeHash],
    known: &VerifierKey,
    witness: &(u64, TreeHash),
) -> Option<String> {
    let ask = |old| {
        decide(
            &request(volume, leaves, old),
            std::slice::from_ref(known),
            Some(*witness),
        )
    };
    let refused = match ask(0) {
        Err(Refusal::Size { last, .. }) if last > volume.size() => {
            return Some(format!(
                "it has cosigned {last} records, and there are fewer"
            ));
        }
        Err(Refusal::Size { last, .. }) => ask(last).err(),
        other => other.err(),
    };
    refused.map(|refusal| refusal.to_string())
}

fn request(volume: &Volume, leaves: &[TreeHash], old: u64) -> AddCheckpoint {
    let size = volume.size();
    let root = |range: &Range<u64>| {
        let [from, to] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        tree::root_of(&leaves[from..to])
    };
    let subtrees = proof::consistency_subtrees(old, size).unwrap();
    let origin = volume.key.verifier().name().to_owned();
    let checkpoint = Checkpoint::new(origin, size, root(&(0..size))).unwrap();
    AddCheckpoint {
        old,
        proof: subtrees.iter().map(root).collect(),
        checkpoint: checkpoint.sign(&volume.key),
    }
}
