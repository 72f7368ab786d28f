//! The checkpoint beside a strand's segments, and what becomes of it. Pure.
//!
//! [`CHECKPOINT`] is the note alone, as <https://c2sp.org/tlog-checkpoint> has it. [`CONSISTENCY`] is the same note behind the proof that its
//! tree begins with that of the archived segments, in the form of a request to a witness (<https://c2sp.org/tlog-witness>): a
//! checkpoint is always newer than the last sealed segment.

use boboyka_tlog::{Checkpoint, Note, TreeHash};

/// The object with the newest signed checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// The object with the same checkpoint, and how it follows from the archived segments.
pub const CONSISTENCY: &str = "consistency";

/// A checkpoint for the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The checkpoint.
    pub note: Note,
    /// How its tree begins with that of the archived segments.
    pub proof: Vec<TreeHash>,
    /// Size of the newest checkpoint of the log, which may be newer than the one that witnesses have cosigned.
    pub newest: u64,
}

/// What becomes of the checkpoint in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The strand's own takes its place.
    Put,
    /// It stays: it is as new.
    Keep,
    /// It is none that the strand can have signed before, and why.
    Contradiction(String),
}

/// The checkpoint that a text is.
///
/// # Errors
/// It is none.
pub(crate) fn read(text: &str) -> Result<Checkpoint, Step> {
    let note = text.parse::<Note>().ok();
    let there = note.and_then(|note| Checkpoint::of_note(&note).ok());
    there.ok_or_else(|| Step::Contradiction("it is no checkpoint".to_owned()))
}

/// What becomes of the checkpoint that is there. `held` is the root that the strand has at its size, if that is known.
pub(crate) fn step(
    there: &Checkpoint,
    own: &Checkpoint,
    newest: u64,
    held: Option<TreeHash>,
) -> Step {
    if there.origin() != own.origin() {
        let (theirs, ours) = (incarnation(there.origin()), incarnation(own.origin()));
        if theirs < ours {
            return Step::Put;
        }
        let (theirs, ours) = (there.origin(), own.origin());
        return Step::Contradiction(format!("it is of the log {theirs}, and this one is {ours}"));
    }
    let size = there.size();
    if size > newest {
        return Step::Contradiction(format!(
            "it has {size} records, and this log has signed {newest} at most"
        ));
    }
    if held.is_some_and(|held| held != there.root()) {
        return Step::Contradiction(format!(
            "its tree of {size} records is another one than the strand's"
        ));
    }
    if size >= own.size() {
        Step::Keep
    } else {
        Step::Put
    }
}

/// The last part of an origin: its number.
fn incarnation(origin: &str) -> Option<u64> {
    origin.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use boboyka_tlog::key::Kind;
    use boboyka_tlog::{Checkpoint, SigningKey, TreeHash};

    use super::{Step, read, step};

    fn checkpoint(number: u64, size: u64, leaf: &[u8]) -> Checkpoint {
        let origin = format!("example.com/logs/x/{number}");
        Checkpoint::new(origin, size, TreeHash::of_leaf(leaf)).unwrap()
    }

    fn text(checkpoint: &Checkpoint) -> String {
        let key = SigningKey::from_seed(checkpoint.origin(), Kind::Log, [1; 32]).unwrap();
        checkpoint.sign(&key).to_string()
    }

    #[test]
    fn a_newer_checkpoint_takes_the_place_of_an_older_one_and_never_the_other_way_round() {
        let own = checkpoint(2, 10, b"a");
        let of = |there: &Checkpoint| {
            let there = read(&text(there)).unwrap();
            step(&there, &own, 12, Some(TreeHash::of_leaf(b"a")))
        };
        assert_eq!(of(&checkpoint(2, 9, b"a")), Step::Put);
        assert_eq!(of(&checkpoint(1, 900, b"b")), Step::Put);
        assert_eq!(of(&own), Step::Keep);
        assert_eq!(of(&checkpoint(2, 12, b"a")), Step::Keep);
        for there in [
            checkpoint(2, 13, b"a"),
            checkpoint(2, 9, b"b"),
            checkpoint(3, 1, b"a"),
        ] {
            assert!(matches!(of(&there), Step::Contradiction(_)), "{there:?}");
        }
        assert!(matches!(read("no note"), Err(Step::Contradiction(_))));
        let unknown = step(&checkpoint(2, 9, b"b"), &own, 12, None);
        assert_eq!(unknown, Step::Put);
    }
}
