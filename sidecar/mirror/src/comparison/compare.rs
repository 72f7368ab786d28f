//! What a table of records has, against what it should have. Pure.

use std::collections::{BTreeMap, HashSet};

use boboyka_strand::Seq;

use super::digest::RowDigest;
use crate::parity::{Difference, DifferenceKind};

/// A record as its row should be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) seq: Seq,
    pub(crate) hash: String,
    pub(crate) digest: RowDigest,
    /// The columns of its key as a JSON object, in a table of states.
    pub(crate) key: Option<String>,
    /// When it was appended.
    pub(crate) ms: u64,
}

/// A row that the table has.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) seq: Seq,
    pub(crate) hash: Option<String>,
    pub(crate) digest: RowDigest,
}

/// How the rows of a span differ from its records. A refused record may have a row or not.
pub(crate) fn differences(
    expected: &[Expected],
    refused: &HashSet<Seq>,
    found: &[Found],
) -> Vec<Difference> {
    let mut rows: BTreeMap<Seq, Vec<&Found>> = BTreeMap::new();
    for row in found {
        rows.entry(row.seq).or_default().push(row);
    }
    let mut told = Vec::new();
    for record in expected {
        let there = rows.remove(&record.seq).unwrap_or_default();
        tell_record(record, &there, &mut told);
    }
    for (seq, rows) in rows {
        if !refused.contains(&seq) {
            let extra = Difference {
                seq,
                kind: DifferenceKind::Extra,
            };
            told.extend(rows.iter().map(|_| extra));
        }
    }
    told.sort_by_key(|difference| difference.seq);
    told
}

fn tell_record(record: &Expected, rows: &[&Found], told: &mut Vec<Difference>) {
    let mut tell = |kind| {
        told.push(Difference {
            seq: record.seq,
            kind,
        });
    };
    let (own, others): (Vec<&&Found>, Vec<&&Found>) = rows
        .iter()
        .partition(|row| row.hash.as_ref() == Some(&record.hash));
    if own.is_empty() {
        // A row whose hash was changed is the record's own, changed.
        tell(match others.len() {
            0 => DifferenceKind::Missing,
            _ => DifferenceKind::Changed,
        });
    } else if own.iter().all(|row| row.digest != record.digest) {
        tell(DifferenceKind::Changed);
    }
    (1..own.len()).for_each(|_| tell(DifferenceKind::Doubled));
    let spent = usize::from(own.is_empty()).min(others.len());
    (spent..others.len()).for_each(|_| tell(DifferenceKind::Extra));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{DifferenceKind, Expected, Found, RowDigest, differences};

    fn digest(n: u8) -> RowDigest {
        RowDigest::parse(&format!("{n:032x}")).unwrap()
    }

    fn expected(seq: u64) -> Expected {
        Expected {
            seq,
            hash: format!("h{seq}"),
            digest: digest(1),
            key: None,
            ms: 0,
        }
    }

    fn found(seq: u64, hash: &str, n: u8) -> Found {
        Found {
            seq,
            hash: Some(hash.to_owned()),
            digest: digest(n),
        }
    }

    fn told(rows: &[Found]) -> Vec<(u64, &'static str)> {
        let records = [expected(1), expected(2)];
        differences(&records, &HashSet::from([4]), rows)
            .iter()
            .map(|it| (it.seq, DifferenceKind::name(it.kind)))
            .collect()
    }

    #[test]
    fn each_row_is_told_by_what_is_wrong_with_it() {
        let (one, two) = (found(1, "h1", 1), found(2, "h2", 1));
        assert_eq!(told(&[one.clone(), two.clone()]), []);
        assert_eq!(told(std::slice::from_ref(&one)), [(2, "missing")]);
        assert_eq!(told(&[one.clone(), found(2, "h2", 9)]), [(2, "changed")]);
        assert_eq!(told(&[one.clone(), found(2, "hx", 1)]), [(2, "changed")]);
        let nobodys = Found {
            hash: None,
            ..two.clone()
        };
        assert_eq!(told(&[one.clone(), two.clone(), nobodys]), [(2, "extra")]);
        assert_eq!(
            told(&[one.clone(), two.clone(), two.clone()]),
            [(2, "doubled")]
        );
        assert_eq!(
            told(&[one.clone(), two.clone(), found(3, "h3", 1)]),
            [(3, "extra")]
        );
        assert_eq!(
            told(&[one, two, found(4, "h4", 1)]),
            [],
            "it was refused and may be there"
        );
    }
}
