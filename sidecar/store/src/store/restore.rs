//! A strand that was rebuilt of the segments of its archive: its log goes on as the next incarnation.

use boboyka_strand::RecordType;
use boboyka_tlog::{Checkpoint, Note};

use super::handle::Store;
use crate::error::TlogError;
use crate::forward::{self, ForwardQuery};
use crate::incarnation::{self, Incarnation};

/// Records that are looked through at a time, …
const RECORDS_MAX: usize = 1000;
/// … and the bytes of their payloads.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Why the log goes on under another origin, in the strand's record of it.
const WHY: &str = "the strand was restored from its archive, which may lack what was signed last";

impl Store {
    /// Lets the log go on as the next incarnation after the one whose last known checkpoint is given, and after those that the
    /// strand's own records and the `archived` checkpoint tell of, before this process signs anything; returns the number of the
    /// incarnation. The strand records it. Blocking.
    ///
    /// # Errors
    /// The note is no checkpoint of this strand, or nothing can be written.
    pub fn go_on_restored(&self, last: &Note, archived: Option<&Note>) -> Result<u64, TlogError> {
        let shared = &self.shared;
        let checkpoint = Checkpoint::of_note(last);
        let checkpoint = checkpoint.map_err(|error| TlogError::Key(error.to_string()))?;
        let ended = incarnation::number_of(checkpoint.origin(), shared.strand);
        let ended = ended.ok_or_else(|| {
            let origin = checkpoint.origin();
            TlogError::Key(format!("{origin} is no log of this strand"))
        })?;
        let archived = archived.and_then(|note| Checkpoint::of_note(note).ok());
        let archived = archived.and_then(|it| incarnation::number_of(it.origin(), shared.strand));
        let newest = self.recorded_incarnation().max(archived).max(Some(ended));
        let number = newest.and_then(|newest| newest.checked_add(1));
        let number = number.ok_or_else(|| TlogError::Key("no incarnation is left".to_owned()))?;
        let mut signer = shared.signing.lock();
        // Behind it, a start takes the next incarnation for one whose first checkpoint a crash kept back.
        shared.signing.write(last).map_err(TlogError::Write)?;
        self.end_incarnation(ended, Some(&checkpoint))?;
        let wanted = Incarnation {
            number,
            claim: None,
        };
        self.note_incarnation(&wanted, Some(&last.to_string()), Some(WHY))?;
        signer.incarnation = Some(wanted);
        Ok(number)
    }

    /// The newest incarnation that a record of the strand begins.
    fn recorded_incarnation(&self) -> Option<u64> {
        let (mut newest, mut after) = (None, self.shared.view().floor.head.seq);
        loop {
            let step = forward::forward(
                &self.shared,
                &ForwardQuery {
                    after,
                    record_type: Some(RecordType::AuditLog),
                    limit: RECORDS_MAX,
                    max_payload_bytes: BYTES_MAX,
                    max_read: RECORDS_MAX,
                },
            );
            let found = step.blocks.iter();
            let found = found.filter_map(|it| incarnation::number_in(it, self.shared.strand));
            newest = newest.max(found.max());
            if step.is_at_head {
                return newest;
            }
            after = step.reached;
        }
    }
}
