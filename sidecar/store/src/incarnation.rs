//! An incarnation of the transparency log: as long as everything that was signed is a beginning of the strand, one origin goes on.
//! When the strand has less, or something else, than was signed, or lies on another volume, nothing is ever signed under
//! that origin again: the next incarnation has an origin of its own.

use boboyka_crds::names::ORIGINS;
use boboyka_strand::{Block, Record, RecordError};
use boboyka_tlog::Checkpoint;
use serde_json::json;
use uuid::Uuid;

use crate::own::data_of;

/// The event of the record that a new incarnation begins with.
const EVENT: &str = "log_incarnation";

/// The incarnation in force. It is durable before anything is signed under its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Incarnation {
    /// From 1.
    pub(crate) number: u64,
    /// UID of the claim of the volume that it was signed on, in a cluster.
    pub(crate) claim: Option<String>,
}

/// The last checkpoint that was signed, as far as the disk says.
#[derive(Clone, Debug)]
pub(crate) enum Signed {
    /// There is no file.
    Nothing,
    /// The file means nothing, and why.
    Unreadable(String),
    /// A checkpoint.
    Checkpoint(Checkpoint),
}

/// What the tree has at the size of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The same root.
    Same,
    /// It is smaller.
    Shorter,
    /// Another root.
    Other,
}

/// How the transparency log goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing was ever signed.
    First,
    /// Under the origin of this number.
    GoOn(u64),
    /// Under the origin of this number, and why not under the one before.
    Anew(u64, String),
}

/// The origin of an incarnation; also the name of its key.
pub(crate) fn origin(strand: Uuid, number: u64) -> String {
    format!("{ORIGINS}/{strand}/{number}")
}

/// Whether an origin is one of a strand's.
pub(crate) fn is_of(origin: &str, strand: Uuid) -> bool {
    number_of(origin, strand).is_some()
}

/// The number of a strand's origin.
pub(crate) fn number_of(origin: &str, strand: Uuid) -> Option<u64> {
    let number = origin
        .strip_prefix(&format!("{ORIGINS}/{strand}/"))?
        .parse()
        .ok()?;
    (self::origin(strand, number) == origin).then_some(number)
}

/// The number of the incarnation that begins with a block.
pub(crate) fn number_in(block: &Block, strand: Uuid) -> Option<u64> {
    let data = data_of(block, EVENT)?;
    number_of(data.pointer("/metadata/origin")?.as_str()?, strand)
}

/// How the transparency log goes on. `known` is what the ledger says, `claim` the claim of the volume now.
pub(crate) fn next(
    strand: Uuid,
    known: Option<&Incarnation>,
    signed: &Signed,
    compared: Compared,
    claim: Option<&str>,
) -> Next {
    let number = known.map_or(0, |known| known.number);
    let (number, why) = match signed {
        Signed::Nothing if number == 0 => return Next::First,
        Signed::Nothing => (
            number,
            Some("the file of the last signed checkpoint is missing".to_owned()),
        ),
        Signed::Unreadable(why) => (
            number.max(1),
            Some(format!("the last signed checkpoint can't be read: {why}")),
        ),
        Signed::Checkpoint(last) => match number_of(last.origin(), strand) {
            None => {
                let why = format!("the last signed checkpoint is of the log {}", last.origin());
                (number.max(1), Some(why))
            }
            // A crash came between the commit of the incarnation and its first checkpoint.
            Some(earlier) if earlier < number => (number, None),
            Some(latest) => (latest, differs(last, compared)),
        },
    };
    let moved = known.and_then(|known| known.claim.as_deref()).zip(claim);
    let moved = moved
        .filter(|(before, now)| before != now)
        .map(|(before, now)| format!("the volume is a copy: its claim was {before} and is {now}"));
    match why.or(moved) {
        Some(why) => Next::Anew(number + 1, why),
        None => Next::GoOn(number),
    }
}

fn differs(last: &Checkpoint, compared: Compared) -> Option<String> {
    let size = last.size();
    match compared {
        Compared::Same => None,
        Compared::Shorter => Some(format!(
            "the strand has fewer records than the {size} of the last signed checkpoint"
        )),
        Compared::Other => Some(format!(
            "the strand's first {size} records are not those of the last signed checkpoint"
        )),
    }
}

/// Why the log goes on as the next incarnation although the disk shows nothing: a witness shows a checkpoint that the log has
/// signed. `None` when the strand holds it.
pub(crate) fn contradicted(seen: &Checkpoint, compared: Compared) -> Option<String> {
    let size = seen.size();
    let shown = format!("a witness shows a checkpoint of size {size} that this log has signed");
    match compared {
        Compared::Same => None,
        Compared::Shorter => Some(format!("{shown}, and the strand has fewer records")),
        Compared::Other => Some(format!(
            "{shown}, and the strand's first {size} records are not those"
        )),
    }
}

/// The record that an incarnation begins with.
pub(crate) fn record(
    origin: &str,
    old_checkpoint: Option<&str>,
    why: &str,
) -> Result<Record, RecordError> {
    let old_origin = old_checkpoint.and_then(|text| text.lines().next());
    let metadata = json!({
        "origin": origin,
        "reason": why,
        "old_origin": old_origin,
        "old_checkpoint": old_checkpoint,
    });
    Record::own(EVENT, &metadata)
}

#[cfg(test)]
mod tests {
    use boboyka_tlog::{Checkpoint, TreeHash};
    use uuid::Uuid;

    use super::{Compared, Incarnation, Next, Signed, next, origin};

    const STRAND: Uuid = Uuid::max();

    fn signed(number: u64) -> Signed {
        let root = TreeHash::of_leaf(b"x");
        Signed::Checkpoint(Checkpoint::new(origin(STRAND, number), 7, root).unwrap())
    }

    fn known(number: u64, claim: Option<&str>) -> Incarnation {
        let claim = claim.map(str::to_owned);
        Incarnation { number, claim }
    }

    fn number(next: &Next) -> (u64, bool) {
        match *next {
            Next::First => (1, true),
            Next::GoOn(number) => (number, false),
            Next::Anew(number, _) => (number, true),
        }
    }

    #[test]
    fn an_origin_goes_on_only_while_the_strand_holds_what_was_signed() {
        let go = |known: Option<&Incarnation>, signed: &Signed, compared| {
            number(&next(STRAND, known, signed, compared, None))
        };
        let one = known(1, None);
        assert_eq!(go(None, &Signed::Nothing, Compared::Same), (1, true));
        assert_eq!(go(Some(&one), &signed(1), Compared::Same), (1, false));
        assert_eq!(go(Some(&one), &signed(1), Compared::Shorter), (2, true));
        assert_eq!(go(Some(&one), &signed(1), Compared::Other), (2, true));
        assert_eq!(go(Some(&one), &Signed::Nothing, Compared::Same), (2, true));
        let torn = Signed::Unreadable("torn".to_owned());
        assert_eq!(go(Some(&one), &torn, Compared::Same), (2, true));
        assert_eq!(go(None, &torn, Compared::Same), (2, true));
        // The file is written after the incarnation is durable, and the first one before.
        assert_eq!(
            go(Some(&known(2, None)), &signed(1), Compared::Other),
            (2, false)
        );
        assert_eq!(go(None, &signed(1), Compared::Same), (1, false));
        let strange = Checkpoint::new("example.com/log".to_owned(), 0, TreeHash::EMPTY).unwrap();
        let strange = Signed::Checkpoint(strange);
        assert_eq!(go(Some(&one), &strange, Compared::Same), (2, true));
    }

    #[test]
    fn another_claim_is_another_incarnation_and_a_first_or_unknown_one_is_not() {
        let go = |before: Option<&str>, now: Option<&str>| {
            let known = known(3, before);
            number(&next(STRAND, Some(&known), &signed(3), Compared::Same, now))
        };
        assert_eq!(go(Some("a"), Some("a")), (3, false));
        assert_eq!(go(None, Some("a")), (3, false));
        assert_eq!(go(Some("a"), None), (3, false));
        assert_eq!(go(Some("a"), Some("b")), (4, true));
    }
}
