//! Rounds: when witnesses are asked, and what is published of their answers.

use std::sync::Arc;
use std::time::Duration;

use boboyka_tlog::policy::Party;
use boboyka_tlog::{Checkpoint, Note};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::ask::{self, Fault, Witness};
use crate::client::{Client, SetupError};
use crate::log::Log;

/// From one round to the next while the log grows: half of what is promised, so that a round may fail.
const PERIOD: Duration = Duration::from_secs(30);
/// A witness that failed is asked again after this time at first.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// And after this time at last.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// What the witnesses have made of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Cosigned {
    /// The newest checkpoint that at least one witness has cosigned, with all signatures.
    pub note: Option<Note>,
    /// How each witness stands, in the order of the policy.
    pub witnesses: Vec<WitnessStatus>,
}

/// How a witness stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessStatus {
    /// Its name.
    pub name: String,
    /// The newest size that it cosigned, as far as is known; 0 for none.
    pub size: u64,
    /// Why it did not cosign the newest checkpoint.
    pub fault: Option<Fault>,
}

/// A witness, and when it is asked.
struct Asked {
    witness: Witness,
    fault: Option<Fault>,
    /// The text that it cosigned last.
    done: String,
    pause: Duration,
    not_before: Instant,
}

/// Has a log cosigned.
pub struct Cosigner<L> {
    log: L,
    client: Client,
    asked: Vec<Asked>,
    published: watch::Sender<Cosigned>,
}

impl<L: Log> Cosigner<L> {
    /// One for the witnesses that have a URL; the others can't be asked.
    ///
    /// # Errors
    /// The HTTP client can't be set up.
    pub fn new(log: L, witnesses: &[Party]) -> Result<Self, SetupError> {
        let asked = witnesses.iter().filter_map(Asked::of);
        Ok(Self {
            log,
            client: Client::new()?,
            asked: asked.collect(),
            published: watch::Sender::new(Cosigned::default()),
        })
    }

    /// Whether there is anybody to ask.
    pub fn has_witnesses(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What is published, and whatever comes later.
    pub fn watch(&self) -> watch::Receiver<Cosigned> {
        self.published.subscribe()
    }

    /// Goes round until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut checkpoints = self.log.checkpoints();
        // What is there already counts as new.
        checkpoints.mark_changed();
        while stop
            .run_until_cancelled(self.wait(&mut checkpoints))
            .await
            .is_some()
        {
            let newest = checkpoints.borrow_and_update().clone();
            let begun = Instant::now();
            let Some(newest) = newest else { continue };
            let note = L::note(&newest);
            let Ok(checkpoint) = Checkpoint::of_note(note) else {
                continue;
            };
            // Of an empty log there is nothing to witness.
            if checkpoint.size() == 0 {
                continue;
            }
            if stop
                .run_until_cancelled(self.round(note, &checkpoint))
                .await
                .is_none()
            {
                return;
            }
            let next = sleep_until(begun + PERIOD.min(self.shortest_pause()));
            if stop.run_until_cancelled(next).await.is_none() {
                return;
            }
        }
    }

    /// Until there is something to ask: a new checkpoint, or a witness that failed.
    async fn wait(&self, checkpoints: &mut watch::Receiver<Option<Arc<L::Checkpoint>>>) {
        let failed = self.asked.iter().filter(|asked| asked.fault.is_some());
        let retry = failed.map(|asked| asked.not_before).min();
        let retry = async {
            match retry {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = checkpoints.changed() => if changed.is_err() { std::future::pending().await },
            () = retry => {}
        }
    }

    fn shortest_pause(&self) -> Duration {
        let pauses = self.asked.iter().filter(|asked| asked.fault.is_some());
        pauses.map(|asked| asked.pause).min().unwrap_or(PERIOD)
    }

    async fn round(&mut self, note: &Note, checkpoint: &Checkpoint) {
        let (log, client, now) = (&self.log, &self.client, Instant::now());
        let due = self
            .asked
            .iter_mut()
            .filter(|asked| asked.is_due(note, now));
        let rounds = due.map(|asked| asked.ask(client, log, note, checkpoint));
        let signatures: Vec<_> = join_all(rounds).await.into_iter().flatten().collect();
        let statuses = self.asked.iter().map(Asked::status).collect();
        self.published.send_modify(|published| {
            published.witnesses = statuses;
            if signatures.is_empty() {
                return;
            }
            let same = published
                .note
                .take()
                .filter(|old| old.text() == note.text());
            let mut cosigned = same.unwrap_or_else(|| note.clone());
            for signature in signatures {
                cosigned.push(signature);
            }
            published.note = Some(cosigned);
        });
    }
}

impl Asked {
    fn of(party: &Party) -> Option<Self> {
        let witness = Witness {
            key: party.key.clone(),
            prefix: party.url.clone()?,
            last: 0,
        };
        Some(Self {
            witness,
            fault: None,
            done: String::new(),
            pause: PAUSE_MIN,
            not_before: Instant::now(),
        })
    }

    fn is_due(&self, note: &Note, now: Instant) -> bool {
        self.done != note.text() && (self.fault.is_none() || self.not_before <= now)
    }

    fn status(&self) -> WitnessStatus {
        WitnessStatus {
            name: self.witness.key.name().to_owned(),
            size: self.witness.last,
            fault: self.fault.clone(),
        }
    }

    async fn ask<L: Log>(
        &mut self,
        client: &Client,
        log: &L,
        note: &Note,
        checkpoint: &Checkpoint,
    ) -> Option<boboyka_tlog::note::Signature> {
        let answer = ask::ask(client, log, &mut self.witness, note, checkpoint).await;
        match answer {
            Ok(signature) => {
                log.cosigned(self.witness.key.name(), checkpoint.size())
                    .await;
                self.is_well(note);
                Some(signature)
            }
            Err(fault) => {
                self.failed(fault, checkpoint);
                None
            }
        }
    }

    fn is_well(&mut self, note: &Note) {
        if self.fault.take().is_some() {
            tracing::info!(
                witness = self.witness.key.name(),
                "the witness cosigns again"
            );
        }
        note.text().clone_into(&mut self.done);
        self.pause = PAUSE_MIN;
    }

    fn failed(&mut self, fault: Fault, checkpoint: &Checkpoint) {
        if self.fault.as_ref() != Some(&fault) {
            let (witness, origin) = (self.witness.key.name(), checkpoint.origin());
            if fault.is_of_log() {
                tracing::error!(
                    witness,
                    origin,
                    "the witness does not cosign {origin}: {fault}"
                );
            } else {
                tracing::warn!(
                    witness,
                    origin,
                    "the witness does not cosign {origin}: {fault}"
                );
            }
        }
        self.fault = Some(fault);
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}
