//! Which requests a run of rows becomes. In [`Mode::Append`] it is one, with every row. In
//! [`Mode::Latest`] the rows of one key are folded into one, in the strand's order: a column has the
//! value of the newest record that names it, and a column that no record names is left alone. Since a
//! request can only fill the same columns in all its rows, there is one for each set of columns. Pure.
//!
//! Why a row never goes back in time: a lane is the only writer of its strand, sends one request at a
//! time and each run of rows folded, so two states of one key are in the table's order what they are in
//! the strand's. A request whose outcome is not known may still be carried out later, so nothing newer
//! is sent until it can't be any more (`lane::doubt`), unless the table has the guard of
//! `schema.sql`, a trigger that ignores a row older than the one that is there. The guard also orders
//! the rows of several strands, which know nothing of each other: by time, then strand, then seq.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use boboyka_strand::Seq;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::preflight::Shape;
use crate::row::Batch;
use crate::table::Mode;

/// The values of a row's key columns as JSON, in the key's order.
pub(crate) type Key = String;

/// One request's worth of rows.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The columns that it fills.
    pub columns: Vec<Arc<str>>,
    /// A JSON array of objects.
    pub body: Bytes,
    /// The rows of the batch that it stores, by index; of a key the newest.
    pub rows: Vec<usize>,
    /// Each row's key; empty in [`Mode::Append`].
    pub keys: Vec<Key>,
}

/// The requests for a run of rows. Rows whose key was stored with a newer state, as `stored` tells, are
/// left out.
pub(crate) fn requests(
    batch: &Batch,
    part: &Range<usize>,
    shape: &Shape,
    stored: &HashMap<Key, Seq>,
) -> Vec<Request> {
    match shape.mode {
        Mode::Append => vec![Request {
            columns: shape.columns.clone(),
            body: batch.body(part.clone()),
            rows: part.clone().collect(),
            keys: Vec::new(),
        }],
        Mode::Latest => folded(batch, part, shape, stored),
    }
}

/// The key of a row; `None` when one of its columns is absent or null, which no unique key compares.
pub(crate) fn key_of(row: &[u8], key: &[Arc<str>]) -> Option<Key> {
    key_in(&members(row), key)
}

type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

struct Folded<'a> {
    row: usize,
    key: Key,
    members: Members<'a>,
}

fn folded(
    batch: &Batch,
    part: &Range<usize>,
    shape: &Shape,
    stored: &HashMap<Key, Seq>,
) -> Vec<Request> {
    let mut rows: Vec<Folded<'_>> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    for row in part.clone() {
        let members = members(batch.json(row));
        let Some(key) = key_in(&members, &shape.key) else {
            rows.push(Folded {
                row,
                key: Key::new(),
                members,
            });
            continue;
        };
        let seq = batch.row(row).map_or(0, |row| row.seq);
        if stored.get(&key).is_some_and(|newest| *newest > seq) {
            continue;
        }
        if let Some(known) = places.get(&key).and_then(|place| rows.get_mut(*place)) {
            known.row = row;
            known.members.extend(members);
        } else {
            places.insert(key.clone(), rows.len());
            rows.push(Folded { row, key, members });
        }
    }
    by_columns(rows, shape)
}

fn by_columns(rows: Vec<Folded<'_>>, shape: &Shape) -> Vec<Request> {
    let mut groups: BTreeMap<Vec<usize>, Vec<Folded<'_>>> = BTreeMap::new();
    for row in rows {
        let columns = shape.columns.iter().enumerate();
        let filled = columns.filter(|(_, column)| row.members.contains_key(&***column));
        let filled = filled.map(|(place, _)| place).collect();
        groups.entry(filled).or_default().push(row);
    }
    groups
        .into_iter()
        .map(|(filled, rows)| {
            let column = |place: &usize| shape.columns.get(*place).cloned();
            let columns: Vec<_> = filled.iter().filter_map(column).collect();
            Request {
                body: body(&columns, &rows),
                columns,
                rows: rows.iter().map(|row| row.row).collect(),
                keys: rows.into_iter().map(|row| row.key).collect(),
            }
        })
        .collect()
}

fn body(columns: &[Arc<str>], rows: &[Folded<'_>]) -> Bytes {
    let mut body = String::from("[");
    for row in rows {
        if body.len() > 1 {
            body.push(',');
        }
        body.push('{');
        for (n, column) in columns.iter().enumerate() {
            if n > 0 {
                body.push(',');
            }
            let value = row
                .members
                .get(&**column)
                .map_or("null", |value| value.get());
            body.push('"');
            body.push_str(column);
            body.push_str("\":");
            body.push_str(value);
        }
        body.push('}');
    }
    body.push(']');
    body.into()
}

fn members(row: &[u8]) -> Members<'_> {
    // The rows are rendered here, with column names that need no escapes.
    serde_json::from_slice(row).unwrap_or_default()
}

fn key_in(members: &Members<'_>, key: &[Arc<str>]) -> Option<Key> {
    let mut text = Key::new();
    for column in key {
        let value = members.get(&**column)?.get();
        if value == "null" {
            return None;
        }
        text.push_str(value);
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use boboyka_strand::{Head, Record, RecordType};
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use uuid::Uuid;

    use super::{Batch, Mode, Request, Shape, requests};
    use crate::table::{Layout, TableSettings};

    fn layout() -> Layout {
        Layout::new(RecordType::ProjectBuild, &TableSettings::default())
    }

    fn batch(records: &[Value]) -> Batch {
        let mut head = Head::EMPTY;
        let blocks: Vec<_> = records
            .iter()
            .map(|data| {
                let record = Record::from_json(RecordType::ProjectBuild, &data.to_string());
                let block = head.link(record.unwrap(), |_| Uuid::nil(), 1);
                head = head.follow(&block).unwrap();
                block
            })
            .collect();
        Batch::render(&layout(), Uuid::nil(), &blocks).unwrap()
    }

    fn latest() -> Shape {
        let layout = layout();
        Shape {
            mode: Mode::Latest,
            key: layout.key.clone(),
            columns: layout.columns(),
            ..Shape::default()
        }
    }

    fn rows(request: &Request) -> Vec<Map<String, Value>> {
        serde_json::from_slice(&request.body).unwrap()
    }

    /// What an upsert does: a row that is there gets the columns of the request.
    fn upsert(table: &mut HashMap<String, Map<String, Value>>, request: &Request) {
        for row in rows(request) {
            let key = row["build_id"].to_string();
            table.entry(key).or_default().extend(row);
        }
    }

    #[test]
    fn the_records_of_one_build_become_one_row_with_the_newest_value_of_each_column() {
        let batch = batch(&[
            json!({"project_id": "p", "build_id": "b", "status": "queued", "agent_id": null}),
            json!({"project_id": "p", "build_id": "c", "status": "queued"}),
            json!({"project_id": "p", "build_id": "b", "status": "running", "started_at_ms": 1}),
            json!({"project_id": "p", "build_id": "b", "status": "failed", "completed_at_ms": 2}),
        ]);
        let sent = requests(&batch, &(0..4), &latest(), &HashMap::new());
        assert_eq!(sent.len(), 2, "one for each set of columns");
        let b = sent.iter().find(|request| request.rows == [3]).unwrap();
        let row = &rows(b)[0];
        assert_eq!((&row["status"], &row["seq"]), (&json!("failed"), &json!(4)));
        assert_eq!(
            (&row["started_at_ms"], &row["agent_id"]),
            (&json!(1), &Value::Null)
        );
        let c = sent.iter().find(|request| request.rows == [1]).unwrap();
        assert!(!c.columns.iter().any(|column| &**column == "started_at_ms"));
        assert!(!rows(c)[0].contains_key("agent_id"));
    }

    #[test]
    fn a_state_older_than_what_was_stored_is_not_sent() {
        let batch = batch(&[
            json!({"project_id": "p", "build_id": "b", "status": "queued"}),
            json!({"project_id": "p", "build_id": "b", "status": "running"}),
        ]);
        let all = requests(&batch, &(0..2), &latest(), &HashMap::new());
        let stored = HashMap::from([(all[0].keys[0].clone(), 2)]);
        assert!(requests(&batch, &(0..1), &latest(), &stored).is_empty());
        assert_eq!(requests(&batch, &(1..2), &latest(), &stored).len(), 1);
    }

    proptest! {
        #[test]
        fn however_a_batch_is_cut_the_table_ends_as_if_each_record_were_sent_alone(
            records in proptest::collection::vec((0_u8..4, 0_u8..4, any::<bool>(), any::<bool>()), 1..30),
            cut in 0_usize..30,
        ) {
            let records: Vec<Value> = records
                .iter()
                .enumerate()
                .map(|(n, (build, status, started, null))| {
                    let status = ["queued", "running", "succeeded", "failed"][usize::from(*status)];
                    let mut data = json!({"project_id": "p", "build_id": format!("b{build}"), "status": status});
                    if *started {
                        data["started_at_ms"] = if *null { Value::Null } else { json!(n) };
                    }
                    data
                })
                .collect();
            let batch = batch(&records);
            let (len, shape) = (records.len(), latest());
            let cut = cut.min(len);
            let mut alone = HashMap::new();
            for row in 0..len {
                for request in requests(&batch, &(row..row + 1), &shape, &HashMap::new()) {
                    upsert(&mut alone, &request);
                }
            }
            let mut parts = HashMap::new();
            for part in [0..cut, cut..len] {
                for request in requests(&batch, &part, &shape, &HashMap::new()) {
                    upsert(&mut parts, &request);
                }
            }
            prop_assert_eq!(alone, parts);
        }
    }
}
