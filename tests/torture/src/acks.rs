//! What was promised, and when: receipts, floors and phases by the operation with which they left the process.

use std::collections::HashMap;

use boboyka_strand::Seq;

use crate::log::{Log, Op};

/// Something that the process said to its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A record is durable.
    Receipt {
        /// Its seq.
        seq: Seq,
        /// Its hash, in hexadecimal.
        hash: String,
    },
    /// Pruning has left this floor.
    Floor(Seq),
    /// A checkpoint was published: origin, size and root, with spaces between.
    Checkpoint(String),
    /// Retention was asked to prune: the floor may rise from here on.
    MayPrune,
}

/// All that was said, with the operation that said it.
pub(crate) fn said(log: &Log) -> Vec<(usize, Said)> {
    let mut open: HashMap<i32, Vec<u8>> = HashMap::new();
    let mut found = Vec::new();
    for (at, op) in log.ops.iter().enumerate() {
        let Op::Send { fd, data } = op else { continue };
        let buffer = open.entry(*fd).or_default();
        buffer.extend_from_slice(log.data(data));
        let taken = take(buffer, |said| found.push((at, said)));
        buffer.drain(..taken);
    }
    found
}

/// Takes what is whole; how many bytes of the text are used up.
fn take(text: &[u8], mut found: impl FnMut(Said)) -> usize {
    let mut used = 0;
    while let Some((said, len)) = first(&text[used..]) {
        found(said);
        used += len;
    }
    used
}

/// Reads what follows a marker: what is said, and where it ends.
type Reader = fn(&[u8]) -> Option<(Said, usize)>;

/// The first thing said in a text, if it is whole, and where it ends.
fn first(text: &[u8]) -> Option<(Said, usize)> {
    const MARKERS: [(&[u8], Reader); 4] = [
        (b"\"record_hash\":\"", receipt),
        (b"\"floor\":", |rest| {
            number(rest).map(|(floor, len)| (Said::Floor(floor), len))
        }),
        (b"\"prune\":", |_| Some((Said::MayPrune, 0))),
        (b"\"checkpoint\":\"", |rest| {
            let len = find(rest, b"\"")?;
            let line = String::from_utf8_lossy(rest.get(..len)?).into_owned();
            Some((Said::Checkpoint(line), len))
        }),
    ];
    let places = MARKERS.iter().filter_map(|(marker, read)| {
        let begin = find(text, marker)? + marker.len();
        Some((begin, read))
    });
    let (begin, read) = places.min_by_key(|(begin, _)| *begin)?;
    let (said, len) = read(&text[begin..])?;
    Some((said, begin + len))
}

/// What follows the marker of a receipt: the hash, and somewhere behind it the seq.
fn receipt(rest: &[u8]) -> Option<(Said, usize)> {
    const SEQ: &[u8] = b"\"seq\":";
    let hash = String::from_utf8_lossy(rest.get(..64)?).into_owned();
    let begin = find(rest, SEQ)? + SEQ.len();
    let (seq, len) = number(&rest[begin..])?;
    Some((Said::Receipt { seq, hash }, begin + len))
}

/// A number that something follows.
fn number(text: &[u8]) -> Option<(u64, usize)> {
    let len = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let digits = std::str::from_utf8(&text[..len]).ok()?;
    Some((digits.parse().ok()?, len))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::{Said, take};

    #[test]
    fn what_is_whole_is_taken_and_the_rest_waits() {
        let hash = "a".repeat(64);
        let text = format!(
            "HTTP/1.1 200 OK\r\n\r\n{{\"record_hash\":\"{hash}\",\"dual_write\":{{\"ok\":null}},\"seq\":12,\"x\":1}}\
             {{\"prune\":1}}{{\"floor\":7}}{{\"record_hash\":\"{hash}\",\"se"
        );
        let mut found = Vec::new();
        let used = take(text.as_bytes(), |said| found.push(said));
        let receipt = Said::Receipt { seq: 12, hash };
        assert_eq!(found, [receipt, Said::MayPrune, Said::Floor(7)]);
        assert!(text[used..].starts_with("}{\"record_hash\""));
    }
}
