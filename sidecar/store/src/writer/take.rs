//! What each job brings into a commit; changes of phase are in `phase`, what goes in `prune`.

use std::time::Instant;

use boboyka_strand::Record;

use super::commit::Commit;
use super::thread::Writer;
use crate::change::Change;
use crate::error::{WriteError, causes};
use crate::incarnation::Incarnation;
use crate::job::{Job, Waiter};
use crate::quarantine::{self, Quarantined};

impl Writer {
    /// Takes one job into the commit.
    pub(super) fn take(&mut self, commit: &mut Commit, job: Job, refused: Option<WriteError>) {
        match job {
            Job::Append { reply, .. } if refused.is_some() => {
                let why = refused.unwrap_or(WriteError::Closed);
                commit.answers.push((reply, Err(why)));
            }
            Job::Append {
                records,
                unit,
                reply,
            } => {
                let answer = match unit {
                    Some(key) => self.draft_unit(commit, records, key),
                    None => records
                        .into_iter()
                        .map(|new| self.draft(commit, new))
                        .collect(),
                };
                commit.answers.push((reply, Ok(answer)));
            }
            Job::Lane { change, era, reply } => {
                // What a lane did before its mark was set back counts no more: it does it again.
                if era == self.shared.state().era() && !commit.legacy.rewinds() {
                    commit.take_lane_change(change);
                }
                commit.replies.done.push(reply);
            }
            Job::Phase { change, reply } => {
                let answer = self.change_phase(commit, &change);
                commit.replies.phase.push((reply, answer));
            }
            Job::Prune {
                policy,
                needed,
                counted,
                reply,
            } => self.prune(commit, policy, needed, (&counted, reply)),
            Job::Strip {
                ages,
                needed,
                reply,
            } => self.strip(commit, ages, needed, reply),
            Job::Stripped { stripped, reply } => self.take_stripped(commit, *stripped, reply),
            Job::Quarantined { found, reply } => self.record_quarantined(commit, &found, reply),
            Job::Incarnation {
                incarnation,
                record,
                reply,
            } => take_incarnation(commit, incarnation, record, reply),
            Job::Sealed(segment) => {
                commit.changes.push(Change::Segment((*segment).clone()));
                commit.sealed.push(*segment);
            }
            Job::SealFailed => {
                self.sealing = false;
                self.seal_pause.failed(Instant::now());
            }
            Job::Checkpointed(released) => self.take_checkpointed(released),
        }
    }

    fn take_checkpointed(&mut self, released: Option<u64>) {
        self.checkpointing = false;
        if let Some(first_frame) = released {
            self.journal.release(first_frame);
        }
        self.journal.order_spare();
    }

    /// Records what lies in quarantine, in the commit that also notes that it is recorded.
    fn record_quarantined(&self, commit: &mut Commit, found: &Quarantined, reply: Waiter) {
        let noted = Change::Noted(found.folder.clone());
        if !self.noted.contains(&found.folder) && !commit.changes.contains(&noted) {
            match quarantine::record(found) {
                Ok(record) => {
                    commit.link(record, None);
                    commit.changes.push(noted);
                }
                Err(error) => {
                    let error = causes(&error);
                    tracing::error!(error, "could not make the record of what was quarantined");
                }
            }
        }
        commit.replies.done.push(reply);
    }
}

/// Takes the incarnation of the transparency log into the commit, with the record of why it begins.
fn take_incarnation(
    commit: &mut Commit,
    incarnation: Incarnation,
    record: Option<Record>,
    reply: Waiter,
) {
    if let Some(record) = record {
        commit.link(record, None);
    }
    commit.changes.push(Change::Incarnation(incarnation));
    commit.replies.done.push(reply);
}
