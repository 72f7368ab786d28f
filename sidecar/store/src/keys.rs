//! Which idempotency keys were used in the last day: those of the tail in memory, those of segments
//! by a filter each and, where that says "perhaps", a read. Only the writer asks, so two records with
//! one key can't pass each other.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use boboyka_strand::Seq;

use crate::error::ReadError;
use crate::key::{IdempotencyKey, KEY_WINDOW};
use crate::segment::{Bloom, Segment};
use crate::tail_run::TailRun;

#[derive(Default)]
pub(crate) struct Keys {
    tail: HashMap<IdempotencyKey, Seq>,
    segments: VecDeque<(Arc<Segment>, Bloom)>,
}

impl Keys {
    /// Notes a key whose record has this seq.
    pub(crate) fn insert(&mut self, key: IdempotencyKey, seq: Seq) {
        self.tail.insert(key, seq);
    }

    /// Notes the keys of a run that lies in the tail.
    pub(crate) fn insert_run(&mut self, run: &TailRun) {
        for (seq, entry) in (run.first_seq()..).zip(&run.entries) {
            if let Some(key) = entry.key {
                self.tail.insert(key, seq);
            }
        }
    }

    /// Hands the keys of sealed runs over to their segment.
    pub(crate) fn seal(&mut self, segment: Arc<Segment>) -> Result<(), ReadError> {
        let end = segment.meta.head.seq;
        self.tail.retain(|_, seq| *seq > end);
        self.insert_segment(segment)
    }

    /// Notes a segment's keys.
    pub(crate) fn insert_segment(&mut self, segment: Arc<Segment>) -> Result<(), ReadError> {
        if segment.meta.keys > 0 {
            let bloom = segment.read_bloom()?;
            self.segments.push_back((segment, bloom));
        }
        Ok(())
    }

    /// Finds the keys of a segment in the one that took its place, which has the same.
    pub(crate) fn replace(&mut self, segment: &Arc<Segment>) {
        let first_seq = segment.meta.first_seq();
        for (held, _) in &mut self.segments {
            if held.meta.first_seq() == first_seq {
                *held = Arc::clone(segment);
            }
        }
    }

    /// Forgets the keys of what was pruned.
    pub(crate) fn prune(&mut self, floor: Seq) {
        self.segments
            .retain(|(segment, _)| segment.meta.head.seq > floor);
    }

    /// The seq of the record that came with this key; whether it is recent enough is for the caller
    /// to see.
    pub(crate) fn find(
        &mut self,
        key: IdempotencyKey,
        now_ms: u64,
    ) -> Result<Option<Seq>, ReadError> {
        if let Some(seq) = self.tail.get(&key) {
            return Ok(Some(*seq));
        }
        while let Some((oldest, _)) = self.segments.front()
            && is_forgotten(oldest.meta.head.hlc.ms(), now_ms)
        {
            self.segments.pop_front();
        }
        for (segment, bloom) in self.segments.iter().rev() {
            if bloom.may_hold(key)
                && let Some(seq) = segment.seq_of_key(key)?
            {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }
}

/// Whether a key of that time is remembered no more.
pub(crate) fn is_forgotten(ms: u64, now_ms: u64) -> bool {
    u128::from(now_ms.saturating_sub(ms)) > KEY_WINDOW.as_millis()
}
