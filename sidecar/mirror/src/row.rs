//! A block as a row of its Supabase table: the record's own fields as columns, the whole record as
//! `payload`, and what makes the row provable (`record_hash`, `strand`, `seq`, `ingested_at_ms`). Pure.
//!
//! Numbers are copied as text, so none is rounded on the way. A field that the record does not have is
//! left out, so that the column's default stands in for it; one that is null is sent as null.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;

use boboyka_strand::{Block, Hash, PayloadJson, Seq};
use bytes::Bytes;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::table::Layout;

/// A payload that is not what the strand writes: the store checks hashes, so this is a bug or a
/// hash that was forged.
#[derive(Debug, thiserror::Error)]
#[error("the payload of block {seq} can't be read")]
pub(crate) struct RowError {
    /// The block.
    pub seq: Seq,
    /// Why not.
    #[source]
    pub source: serde_json::Error,
}

/// What is kept of a row beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowMeta {
    /// The block's place.
    pub seq: Seq,
    /// The block's hash.
    pub hash: Hash,
    /// When it was ingested.
    pub ms: u64,
    /// Where its bytes end in the batch.
    end: usize,
}

/// Rows ready to be sent, in the order of the strand. Any run of them is a body without rendering again.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rows: Vec<RowMeta>,
    /// The rows' JSON, separated by commas.
    bytes: Vec<u8>,
}

impl Batch {
    /// Renders blocks as rows of a table.
    pub(crate) fn render(
        layout: &Layout,
        strand: Uuid,
        blocks: &[Block],
    ) -> Result<Self, RowError> {
        let mut batch = Self::default();
        for block in blocks {
            if !batch.bytes.is_empty() {
                batch.bytes.push(b',');
            }
            write_row(&mut batch.bytes, layout, strand, block).map_err(|source| RowError {
                seq: block.header.seq,
                source,
            })?;
            batch.rows.push(RowMeta {
                seq: block.header.seq,
                hash: block.hash,
                ms: block.header.timestamp_hlc.ms(),
                end: batch.bytes.len(),
            });
        }
        Ok(batch)
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> &[RowMeta] {
        &self.rows
    }

    /// One row.
    pub(crate) fn row(&self, at: usize) -> Option<RowMeta> {
        self.rows.get(at).copied()
    }

    /// One row's JSON object.
    pub(crate) fn json(&self, at: usize) -> &[u8] {
        let range = self.start_of(at)..self.end_of(at + 1);
        self.bytes.get(range).unwrap_or_default()
    }

    /// A JSON array of some of the rows.
    pub(crate) fn body(&self, rows: Range<usize>) -> Bytes {
        let bytes = self
            .bytes
            .get(self.start_of(rows.start)..self.end_of(rows.end));
        let bytes = bytes.unwrap_or_default();
        let mut body = Vec::with_capacity(bytes.len() + 2);
        body.push(b'[');
        body.extend_from_slice(bytes);
        body.push(b']');
        body.into()
    }

    /// How long [`Batch::body`] is.
    pub(crate) fn body_len(&self, rows: Range<usize>) -> usize {
        self.end_of(rows.end)
            .saturating_sub(self.start_of(rows.start))
            + 2
    }

    /// The rows from `start` that fit together into a body: at most `rows_max` and `bytes_max`, but
    /// always one when there is one.
    pub(crate) fn run_from(&self, start: usize, rows_max: usize, bytes_max: usize) -> Range<usize> {
        let most = self.rows.len().min(start.saturating_add(rows_max.max(1)));
        let mut end = self.rows.len().min(start + 1);
        while end < most && self.body_len(start..end + 1) <= bytes_max {
            end += 1;
        }
        start..end
    }

    fn start_of(&self, row: usize) -> usize {
        // One more than the end of the row before: the comma.
        row.checked_sub(1)
            .map_or(0, |before| self.end_of(before + 1) + 1)
    }

    fn end_of(&self, rows: usize) -> usize {
        rows.checked_sub(1)
            .and_then(|last| self.rows.get(last))
            .map_or(0, |row| row.end)
    }
}

fn write_row(
    out: &mut Vec<u8>,
    layout: &Layout,
    strand: Uuid,
    block: &Block,
) -> Result<(), serde_json::Error> {
    let payload = serde_json::to_vec(&PayloadJson(&block.payload))?;
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&payload)?;
    let own = &layout.own;
    out.push(b'{');
    for field in &layout.fields {
        if let Some(value) = members.get(field.field.as_str()) {
            write!(out, "\"{}\":{},", field.name, value.get()).map_err(serde_json::Error::io)?;
        }
    }
    write!(out, "\"{}\":", own.payload).map_err(serde_json::Error::io)?;
    out.extend_from_slice(&payload);
    write!(
        out,
        ",\"{}\":\"{}\",\"{}\":\"{strand}\",\"{}\":{},\"{}\":{}}}",
        own.record_hash,
        block.hash,
        own.strand,
        own.seq,
        block.header.seq,
        own.ingested_at_ms,
        block.header.timestamp_hlc.ms(),
    )
    .map_err(serde_json::Error::io)
}

#[cfg(test)]
mod tests {
    use boboyka_strand::{Block, Head, Record, RecordType};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::Batch;
    use crate::table::{Layout, TableSettings};

    const STRAND: Uuid = Uuid::from_u128(7);

    fn blocks(records: &[(RecordType, &str)]) -> Vec<Block> {
        let mut head = Head::EMPTY;
        let link = |(kind, data): &(RecordType, &str)| {
            let record = Record::from_json(*kind, data).unwrap();
            let block = head.link(record, |_| Uuid::nil(), 1_747_000_000_042);
            head = head.follow(&block).unwrap();
            block
        };
        records.iter().map(link).collect()
    }

    fn render(record_type: RecordType, blocks: &[Block]) -> Batch {
        let layout = Layout::new(record_type, &TableSettings::default());
        Batch::render(&layout, STRAND, blocks).unwrap()
    }

    fn health(agent: &str) -> String {
        json!({"agent_id": agent, "status": "healthy"}).to_string()
    }

    #[test]
    fn a_row_has_the_known_fields_the_whole_record_and_its_place() {
        let blocks = blocks(&[(
            RecordType::BuildQueueItem,
            r#"{"queue_id":"q","project_id":"p","status":"waiting","dequeued_at_ms":null,"extra":[1]}"#,
        )]);
        let batch = render(RecordType::BuildQueueItem, &blocks);
        let body: Value = serde_json::from_slice(&batch.body(0..1)).unwrap();
        assert_eq!(
            body,
            json!([{
                "queue_id": "q", "project_id": "p", "status": "waiting", "dequeued_at_ms": null,
                "payload": {"queue_id": "q", "project_id": "p", "status": "waiting",
                            "dequeued_at_ms": null, "extra": [1]},
                "record_hash": blocks[0].hash.to_string(),
                "strand": STRAND.to_string(), "seq": 1, "ingested_at_ms": 1_747_000_000_042_u64,
            }])
        );
        let offered = Layout::new(RecordType::BuildQueueItem, &TableSettings::default()).columns();
        for key in body[0].as_object().unwrap().keys() {
            assert!(offered.iter().any(|column| **column == **key), "{key}");
        }
    }

    #[test]
    fn numbers_arrive_as_they_were_sent() {
        let data =
            r#"{"agent_id":"a","status":"healthy","cpu_pct":0.1,"memory_mb":9007199254740993}"#;
        let batch = render(
            RecordType::AgentHealth,
            &blocks(&[(RecordType::AgentHealth, data)]),
        );
        let body = String::from_utf8(batch.body(0..1).to_vec()).unwrap();
        assert!(
            body.contains(r#""cpu_pct":0.1,"memory_mb":9007199254740993,"payload""#),
            "{body}"
        );
    }

    #[test]
    fn every_run_of_rows_is_a_json_array_of_just_those() {
        let texts: Vec<String> = (0..5).map(|n| health(&format!("agent-{n}"))).collect();
        let records: Vec<_> = texts
            .iter()
            .map(|text| (RecordType::AgentHealth, text.as_str()))
            .collect();
        let batch = render(RecordType::AgentHealth, &blocks(&records));
        for start in 0..=5 {
            for end in start..=5 {
                let body = batch.body(start..end);
                assert!(start == end || body.len() == batch.body_len(start..end));
                let rows: Vec<Value> = serde_json::from_slice(&body).unwrap();
                let agents: Vec<_> = rows.iter().map(|row| row["agent_id"].clone()).collect();
                let expected: Vec<_> = (start..end).map(|n| json!(format!("agent-{n}"))).collect();
                assert_eq!(agents, expected);
            }
        }
    }

    #[test]
    fn a_body_keeps_to_the_limits_but_takes_one_row_whatever_its_length() {
        let texts = [
            health("a"),
            health(&"b".repeat(5000)),
            health("c"),
            health("d"),
        ];
        let records: Vec<_> = texts
            .iter()
            .map(|text| (RecordType::AgentHealth, text.as_str()))
            .collect();
        let batch = render(RecordType::AgentHealth, &blocks(&records));
        assert_eq!(batch.run_from(0, 500, 2000), 0..1);
        assert_eq!(batch.run_from(1, 500, 2000), 1..2);
        assert_eq!(batch.run_from(2, 500, 2000), 2..4);
        assert_eq!(batch.run_from(0, 2, usize::MAX), 0..2);
        assert_eq!(batch.run_from(0, 0, 0), 0..1);
        assert_eq!(batch.run_from(4, 500, 2000), 4..4);
    }
}
