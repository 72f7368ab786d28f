//! Records with an idempotency key: a key that was used before returns the earlier receipt, or a conflict.

use boboyka_strand::{Block, Record};

use super::commit::Commit;
use super::draft::Draft;
use super::thread::Writer;
use crate::append::{Appended, KeyConflict, NewRecord};
use crate::error::{ReadError, causes};
use crate::key::IdempotencyKey;
use crate::keys::is_forgotten;
use crate::read;

impl Writer {
    /// Links a record, unless its key was used before.
    pub(super) fn draft(
        &mut self,
        commit: &mut Commit,
        new: NewRecord,
    ) -> Result<Appended, KeyConflict> {
        let Some(key) = new.key else {
            return Ok(commit.link(new.record, None));
        };
        if self.is_used(&commit.draft, key.several(), commit.now_ms)? {
            return Err(KeyConflict::OtherContent);
        }
        self.draft_once(commit, new.record, key)
    }

    /// Links records that share a key, unless it was used before. Completes a unit that a crash cut short.
    pub(super) fn draft_unit(
        &mut self,
        commit: &mut Commit,
        records: Vec<NewRecord>,
        key: IdempotencyKey,
    ) -> Vec<Result<Appended, KeyConflict>> {
        let mut records: Vec<Record> = records.into_iter().map(|new| new.record).collect();
        if records.len() == 1 {
            let record = records.pop();
            return record
                .map(|record| NewRecord {
                    record,
                    key: Some(key),
                })
                .map(|new| self.draft(commit, new))
                .into_iter()
                .collect();
        }
        let parts = key.parts(&records);
        let conflict = match self.is_used_otherwise(commit, key, &records, &parts) {
            Ok(false) => None,
            Ok(true) => Some(KeyConflict::OtherContent),
            Err(conflict) => Some(conflict),
        };
        let keyed = records.into_iter().zip(parts);
        keyed
            .map(|(record, part)| match conflict {
                None => self.draft_once(commit, record, part),
                Some(conflict) => Err(conflict),
            })
            .collect()
    }

    /// Whether the key was used for one record, or for other records than these.
    fn is_used_otherwise(
        &mut self,
        commit: &Commit,
        key: IdempotencyKey,
        records: &[Record],
        parts: &[IdempotencyKey],
    ) -> Result<bool, KeyConflict> {
        let (draft, now_ms) = (&commit.draft, commit.now_ms);
        if self.is_used(draft, key, now_ms)? {
            return Ok(true);
        }
        let Some(second) = self.earlier(draft, key.several(), now_ms)? else {
            return Ok(false);
        };
        let ([first_part, ..], [_, record, ..]) = (parts, records) else {
            return Ok(false);
        };
        Ok(!is_same(&second, record) || !self.is_used(draft, *first_part, now_ms)?)
    }

    fn draft_once(
        &mut self,
        commit: &mut Commit,
        record: Record,
        key: IdempotencyKey,
    ) -> Result<Appended, KeyConflict> {
        if let Some(earlier) = self.earlier(&commit.draft, key, commit.now_ms)? {
            return is_same(&earlier, &record)
                .then(|| Appended::of(&earlier, true))
                .ok_or(KeyConflict::OtherContent);
        }
        let appended = commit.link(record, Some(key));
        self.keys.insert(key, appended.seq);
        Ok(appended)
    }

    fn is_used(
        &mut self,
        draft: &Draft,
        key: IdempotencyKey,
        now_ms: u64,
    ) -> Result<bool, KeyConflict> {
        Ok(self.earlier(draft, key, now_ms)?.is_some())
    }

    /// The record that was appended with the key.
    fn earlier(
        &mut self,
        draft: &Draft,
        key: IdempotencyKey,
        now_ms: u64,
    ) -> Result<Option<Block>, KeyConflict> {
        self.find(draft, key, now_ms).map_err(|error| {
            // Whether the key was used can't be known; a second copy would be the worse lie.
            tracing::error!(
                error = causes(&error),
                "could not look up an idempotency key"
            );
            KeyConflict::Unreadable
        })
    }

    fn find(
        &mut self,
        draft: &Draft,
        key: IdempotencyKey,
        now_ms: u64,
    ) -> Result<Option<Block>, ReadError> {
        let Some(seq) = self.keys.find(key, now_ms)? else {
            return Ok(None);
        };
        let earlier = match draft.find(seq) {
            Some(earlier) => earlier?,
            None => match read::block(&self.shared, seq) {
                Ok(Some(block)) => block,
                // A key is remembered as long as its record is there.
                Ok(None) | Err(ReadError::Pruned { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let is_recent = !is_forgotten(earlier.header.timestamp_hlc.ms(), now_ms);
        Ok(is_recent.then_some(earlier))
    }
}

fn is_same(block: &Block, record: &Record) -> bool {
    block.header.record_type == record.record_type()
        && block.header.payload_hash == record.payload_hash()
}
