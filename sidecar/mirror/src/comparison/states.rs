//! What a table of states has of some keys, against the newest record of each. Pure.

use std::collections::{HashMap, HashSet};

use boboyka_strand::Seq;
use uuid::Uuid;

use super::compare::Expected;
use super::digest::RowDigest;
use crate::parity::{Difference, DifferenceKind};

/// The row of a key.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) strand: Option<String>,
    pub(crate) seq: Option<Seq>,
    pub(crate) hash: Option<String>,
    pub(crate) ms: Option<u64>,
    pub(crate) digest: RowDigest,
}

/// Of a span's records the newest of each key; those without a key are left out, which no table of states keeps.
pub(crate) fn newest(records: Vec<Expected>) -> Vec<Expected> {
    let mut newest: HashMap<String, Expected> = HashMap::new();
    for record in records {
        if let Some(key) = record.key.clone() {
            // Records come in the strand's order.
            newest.insert(key, record);
        }
    }
    let mut newest: Vec<Expected> = newest.into_values().collect();
    newest.sort_by_key(|record| record.seq);
    newest
}

/// How the row of a record's key differs from it. A newer record of the key, of this strand or another, has
/// taken its place rightly; its own span says whether it reads as it should.
pub(crate) fn difference(
    strand: Uuid,
    record: &Expected,
    row: Option<&State>,
) -> Option<Difference> {
    let kind = match row {
        None => DifferenceKind::Missing,
        Some(row) if is_newer(strand, record, row) => return None,
        Some(row) if row.hash.as_ref() == Some(&record.hash) && row.digest == record.digest => {
            return None;
        }
        Some(_) => DifferenceKind::Changed,
    };
    Some(Difference {
        seq: record.seq,
        kind,
    })
}

/// By the order of the guard in `schema.sql`: time, then strand, then seq.
fn is_newer(strand: Uuid, record: &Expected, row: &State) -> bool {
    let (Some(of), Some(seq), Some(ms)) = (&row.strand, row.seq, row.ms) else {
        return false;
    };
    let own = strand.to_string();
    (ms, of.as_str(), seq) > (record.ms, own.as_str(), record.seq)
}

/// Rows that carry the strand's id at places where it has no such record. `known` are the hashes of the span.
pub(crate) fn extras(
    found: &[super::compare::Found],
    known: &HashSet<(Seq, String)>,
    refused: &HashSet<Seq>,
) -> Vec<Difference> {
    let is_extra = |row: &&super::compare::Found| {
        let own = row
            .hash
            .as_ref()
            .is_some_and(|hash| known.contains(&(row.seq, hash.clone())));
        !own && !refused.contains(&row.seq)
    };
    let extra = |row: &super::compare::Found| Difference {
        seq: row.seq,
        kind: DifferenceKind::Extra,
    };
    found.iter().filter(is_extra).map(extra).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{DifferenceKind, Expected, RowDigest, State, difference, newest};

    const STRAND: Uuid = Uuid::from_u128(7);

    fn digest(n: u8) -> RowDigest {
        RowDigest::parse(&format!("{n:032x}")).unwrap()
    }

    fn record(seq: u64, key: &str) -> Expected {
        Expected {
            seq,
            hash: format!("h{seq}"),
            digest: digest(1),
            key: Some(key.to_owned()),
            ms: 10,
        }
    }

    fn told(row: Option<&State>) -> Option<DifferenceKind> {
        difference(STRAND, &record(5, "k"), row).map(|it| it.kind)
    }

    #[test]
    fn only_the_newest_record_of_a_key_is_expected() {
        let kept = newest(vec![record(1, "a"), record(2, "b"), record(3, "a")]);
        assert_eq!(kept.iter().map(|it| it.seq).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_row_is_right_when_it_is_the_record_or_a_newer_one() {
        let own = State {
            strand: Some(STRAND.to_string()),
            seq: Some(5),
            hash: Some("h5".to_owned()),
            ms: Some(10),
            digest: digest(1),
        };
        assert_eq!(told(Some(&own)), None);
        assert_eq!(told(None), Some(DifferenceKind::Missing));
        let changed = State {
            digest: digest(2),
            ..own.clone()
        };
        assert_eq!(told(Some(&changed)), Some(DifferenceKind::Changed));
        let newer = State {
            seq: Some(6),
            hash: Some("h6".to_owned()),
            ..own.clone()
        };
        assert_eq!(told(Some(&newer)), None);
        let older = State {
            seq: Some(4),
            hash: Some("h4".to_owned()),
            ..own.clone()
        };
        assert_eq!(told(Some(&older)), Some(DifferenceKind::Changed));
        let others = State {
            strand: Some(Uuid::from_u128(1).to_string()),
            ms: Some(11),
            hash: Some("x".to_owned()),
            ..own.clone()
        };
        assert_eq!(told(Some(&others)), None, "another strand wrote later");
        let foreign = State {
            strand: None,
            seq: None,
            hash: None,
            ms: None,
            ..own
        };
        assert_eq!(told(Some(&foreign)), Some(DifferenceKind::Changed));
    }
}
