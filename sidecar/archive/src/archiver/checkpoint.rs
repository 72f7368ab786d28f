//! The checkpoint beside the segments.

use boboyka_tlog::Checkpoint;
use boboyka_tlog::witness::AddCheckpoint;

use super::rounds::Archiver;
use crate::bucket::{Bucket, Version};
use crate::fault::{Fault, Kind};
use crate::head::{CHECKPOINT, CONSISTENCY, Signed, Step, read, step};
use crate::source::Source;

/// What becomes of the checkpoint in the archive.
pub(super) struct Next {
    signed: Signed,
    /// Of the strand's own.
    size: u64,
    step: Step,
    /// Of the one that is there.
    version: Option<Version>,
}

impl<S: Source> Archiver<S> {
    /// Puts the newest checkpoint beside the segments up to `held`; whether there was one.
    pub(super) async fn put_checkpoint(
        &mut self,
        bucket: &Bucket,
        held: u64,
    ) -> Result<bool, Fault> {
        // The log may not have begun, or be behind for a moment: the next round puts it.
        let Some(next) = self.next_checkpoint(bucket, held).await? else {
            return Ok(false);
        };
        let (object, beside) = (self.object(CHECKPOINT), self.object(CONSISTENCY));
        if next.step == Step::Put {
            let note = next.signed.note.to_string();
            let request = AddCheckpoint {
                old: held,
                proof: next.signed.proof,
                checkpoint: next.signed.note,
            };
            let version = bucket.text(&beside).await?.map(|(_, version)| version);
            let put = bucket.replace(&beside, request.to_string(), version);
            put.await?;
            bucket.replace(&object, note, next.version).await?;
        }
        self.status
            .send_modify(|status| status.checkpoint = Some(next.size));
        Ok(true)
    }

    /// What becomes of the checkpoint in the archive.
    pub(super) async fn next_checkpoint(
        &mut self,
        bucket: &Bucket,
        held: u64,
    ) -> Result<Option<Next>, Fault> {
        let object = self.object(CHECKPOINT);
        let failed = |why: String| Fault::new(Kind::Failed, &object, why);
        let signed = self.source.checkpoint(held).await;
        let Some(signed) = signed.map_err(|error| failed(error.0))? else {
            return Ok(None);
        };
        let own = Checkpoint::of_note(&signed.note).map_err(|error| failed(error.to_string()))?;
        let there = bucket.text(&object).await?;
        if there.is_none() && self.status.borrow().checkpoint.is_some() {
            // So the segments may be gone too, and retention deletes what the archive holds.
            self.forget();
            let (what, why) = (format!("{}/{object}", self.place), "what was there is gone");
            return Err(Fault::new(Kind::Missing, what, why));
        }
        let step = match there.as_ref().map(|(text, _)| read(text)) {
            None => Step::Put,
            Some(Err(step)) => step,
            Some(Ok(there)) => {
                let root = self.source.root(there.size()).await;
                let root = root.filter(|_| there.origin() == own.origin());
                step(&there, &own, signed.newest, root)
            }
        };
        if let Step::Contradiction(why) = step {
            // Nothing more is written before somebody has looked.
            self.listing = None;
            let what = format!("{}/{object}", self.place);
            return Err(Fault::new(Kind::Conflict, what, why));
        }
        Ok(Some(Next {
            size: own.size(),
            signed,
            step,
            version: there.map(|(_, version)| version),
        }))
    }
}
