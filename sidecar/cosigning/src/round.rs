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
    /// Witnesses that can't be asked because their keys are none, and why.
    pub unusable: Vec<String>,
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
    /// Since when it cosigns none.
    pub failing_since: Option<Instant>,
}

/// A witness, and when it is asked.
struct Asked {
    witness: Witness,
    fault: Option<Fault>,
    failing_since: Option<Instant>,
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
        Self::publishing(log, witnesses, watch::Sender::new(Cosigned::default()))
    }

    /// The same, which goes on with what another has published.
    ///
    /// # Errors
    /// The HTTP client can't be set up.
    pub fn publishing(
        log: L,
        witnesses: &[Party],
        published: watch::Sender<Cosigned>,
    ) -> Result<Self, SetupError> {
        let asked: Vec<Asked> = witnesses.iter().filter_map(Asked::of).collect();
        published.send_modify(|known| {
            known.witnesses = asked.iter().map(Asked::status).collect();
        });
        Ok(Self {
            log,
            client: Client::new()?,
            asked,
            published,
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
            checkpoints.mark_unchanged();
            let begun = Instant::now();
            let Some((newest, checkpoint)) = to_ask::<L>(&checkpoints) else {
                continue;
            };
            if stop
                .run_until_cancelled(self.round(L::note(&newest), &checkpoint))
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
        // Without a checkpoint to ask for, the time of a retry may be long past.
        let retry = retry.filter(|_| to_ask::<L>(checkpoints).is_some());
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

/// The newest checkpoint, if there is something to witness: of an empty log there is nothing.
fn to_ask<L: Log>(
    checkpoints: &watch::Receiver<Option<Arc<L::Checkpoint>>>,
) -> Option<(Arc<L::Checkpoint>, Checkpoint)> {
    let newest = checkpoints.borrow().clone()?;
    let checkpoint = Checkpoint::of_note(L::note(&newest)).ok()?;
    (checkpoint.size() > 0).then_some((newest, checkpoint))
}

impl Asked {
    fn of(party: &Party) -> Option<Self> {
        let witness = Witness {
            key: party.key.clone(),
            prefix: party.url.clone()?,
            origin: String::new(),
            last: 0,
        };
        Some(Self {
            witness,
            fault: None,
            failing_since: None,
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
            failing_since: self.failing_since,
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
                if fault.is_of_log() {
                    self.show(client, log, checkpoint).await;
                }
                self.failed(fault, checkpoint);
                None
            }
        }
    }

    /// Has the witness show what it holds instead.
    async fn show<L: Log>(&self, client: &Client, log: &L, checkpoint: &Checkpoint) {
        let (witness, origin) = (self.witness.key.name(), checkpoint.origin());
        let newest = client.newest(&self.witness.prefix, origin).await;
        match newest.and_then(|note| note.ok_or_else(|| "it shows none".to_owned())) {
            Ok(note) => log.shown(witness, note).await,
            Err(error) => tracing::warn!(
                witness,
                origin,
                error,
                "the witness does not show which checkpoint of {origin} it has cosigned: {error}"
            ),
        }
    }

    fn is_well(&mut self, note: &Note) {
        if self.fault.take().is_some() {
            tracing::info!(
                witness = self.witness.key.name(),
                "the witness cosigns again"
            );
        }
        self.failing_since = None;
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
        self.failing_since.get_or_insert_with(Instant::now);
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use boboyka_tlog::key::Kind;
    use boboyka_tlog::{SigningKey, TreeHash};

    use super::*;

    /// How often a checkpoint was looked at.
    static LOOKS: AtomicUsize = AtomicUsize::new(0);

    /// A log that can prove nothing.
    struct Unproven(watch::Receiver<Option<Arc<Note>>>);

    impl Log for Unproven {
        type Checkpoint = Note;

        fn checkpoints(&self) -> watch::Receiver<Option<Arc<Note>>> {
            self.0.clone()
        }

        fn note(checkpoint: &Note) -> &Note {
            LOOKS.fetch_add(1, Ordering::Relaxed);
            checkpoint
        }

        async fn consistency(&self, _: u64, _: u64) -> Result<Vec<TreeHash>, String> {
            Err("it was pruned".to_owned())
        }

        async fn cosigned(&self, _: &str, _: u64) {}

        async fn shown(&self, _: &str, _: Note) {}
    }

    fn checkpoint(key: &SigningKey, size: u64) -> Arc<Note> {
        let checkpoint = Checkpoint::new("log.example".to_owned(), size, TreeHash::EMPTY);
        Arc::new(checkpoint.unwrap().sign(key))
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_fault_nothing_turns_while_the_newest_checkpoint_is_none_to_witness() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = SigningKey::from_seed("log.example", Kind::Log, [7; 32]).unwrap();
        let witness = SigningKey::from_seed("witness.example", Kind::Witness, [8; 32]).unwrap();
        let party = Party {
            key: witness.verifier().clone(),
            url: Some("http://localhost".to_owned()),
        };
        let (checkpoints, seen) = watch::channel(Some(checkpoint(&key, 1)));
        let cosigner = Cosigner::new(Unproven(seen), &[party]).unwrap();
        let mut published = cosigner.watch();
        let running = tokio::spawn(cosigner.run(CancellationToken::new()));
        let failed = |cosigned: &Cosigned| cosigned.witnesses.iter().any(|one| one.fault.is_some());
        published.wait_for(failed).await.unwrap();

        checkpoints.send_replace(Some(checkpoint(&key, 0)));
        tokio::time::advance(PAUSE_MAX * 2).await;
        let before = LOOKS.load(Ordering::Relaxed);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        let looks = LOOKS.load(Ordering::Relaxed) - before;
        assert!(looks < 20, "it looked {looks} times at one checkpoint");
        running.abort();
    }
}
