//! The store's transparency log as the cosigner sees it, and whom it asks: the witnesses of the command line and those of the
//! integration, which may change.

use std::sync::Arc;
use std::time::Duration;

use boboyka_cosigning::{Cosigned, Cosigner, Log, SetupError};
use boboyka_store::{Published, Store, causes};
use boboyka_tlog::policy::Party;
use boboyka_tlog::{Note, Policy, TreeHash};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::integration::Integration;
use crate::trouble::Trouble;

/// How long a start waits for the integration to name its witnesses.
const INTEGRATION_WAIT: Duration = Duration::from_secs(10);

/// The witnesses of the command line and those of the integration.
#[derive(Clone)]
pub(crate) struct Witnesses {
    /// Those of the command line.
    own: Vec<Party>,
    integration: watch::Receiver<Integration>,
}

/// Whom the cosigner asks, and who else learns of what it finds.
pub(crate) struct Cosigning {
    pub(crate) store: Store,
    pub(crate) witnesses: Witnesses,
    /// Checkpoints of this log that witnesses show and the strand may not hold.
    pub(crate) shown: mpsc::Sender<Note>,
}

impl Witnesses {
    /// Those of the command line, and those that the integration names.
    pub(crate) fn new(own: Vec<Party>, integration: watch::Receiver<Integration>) -> Self {
        Self { own, integration }
    }

    /// All of them by this policy of the integration, and what is wrong with others.
    fn by(&self, policy: Option<&str>) -> (Vec<Party>, Vec<String>) {
        let (mut parties, wrong) = parties(policy.unwrap_or_default());
        let known: Vec<_> = self.own.iter().map(|one| one.key.clone()).collect();
        parties.retain(|one| !known.contains(&one.key));
        ([self.own.clone(), parties].concat(), wrong)
    }

    /// The checkpoints of a log that they show. An integration that stays unknown has no witnesses to ask.
    pub(crate) async fn show(&mut self, origin: &str) -> Vec<Note> {
        let known = self.integration.wait_for(|it| it.in_force.is_some());
        let policy = match tokio::time::timeout(INTEGRATION_WAIT, known).await {
            Ok(Ok(known)) => known.witness_policy.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let (all, _) = self.by(policy.as_deref());
        let shown = boboyka_cosigning::shown(&all, origin).await;
        shown.unwrap_or_else(|error| {
            unaskable(&error);
            Vec::new()
        })
    }
}

impl Cosigning {
    /// Has the log cosigned until the signal, and publishes what comes of it.
    pub(crate) async fn run(
        mut self,
        published: watch::Sender<Cosigned>,
        shutdown: CancellationToken,
    ) {
        let mut trouble = Trouble::with("read the keys of the integration's witnesses");
        loop {
            let integration = &mut self.witnesses.integration;
            let policy = integration.borrow_and_update().witness_policy.clone();
            let (all, wrong) = self.witnesses.by(policy.as_deref());
            if wrong.is_empty() {
                trouble.over();
            } else {
                trouble.is(&wrong.join("; "));
            }
            published.send_modify(|published| published.unusable = wrong);
            let stop = shutdown.child_token();
            let asking = self.ask(&all, &published, stop.clone());
            let changed = async {
                let other = |now: &Integration| now.witness_policy != policy;
                if self.witnesses.integration.wait_for(other).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = asking => return,
                () = changed => stop.cancel(),
            }
        }
    }

    /// Asks until the token is cancelled.
    fn ask(
        &self,
        witnesses: &[Party],
        published: &watch::Sender<Cosigned>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let log = StoreLog {
            store: self.store.clone(),
            shown: self.shown.clone(),
        };
        let cosigner = Cosigner::publishing(log, witnesses, published.clone());
        let cosigner = cosigner.inspect_err(unaskable);
        let cosigner = cosigner.ok().filter(Cosigner::has_witnesses);
        async move {
            match cosigner {
                Some(cosigner) => cosigner.run(stop).await,
                None => stop.cancelled().await,
            }
        }
    }
}

fn unaskable(error: &SetupError) {
    let error = causes(error);
    tracing::error!(error, "no witness can be asked: {error}");
}

/// The witnesses of an integration's policy, and what is wrong with the others: one bad key must not keep a log from the
/// other witnesses.
fn parties(policy: &str) -> (Vec<Party>, Vec<String>) {
    let (mut parties, mut wrong) = (Vec::new(), Vec::new());
    for line in policy.lines().filter(|line| line.starts_with("witness ")) {
        let alone: Result<Policy, _> = format!("{line}\nquorum none\n").parse();
        match alone {
            Ok(alone) => parties.extend(alone.witnesses),
            Err(error) => {
                let name = line.split(' ').nth(1).unwrap_or_default();
                wrong.push(format!("the witness {name}: {}", error.reason));
            }
        }
    }
    (parties, wrong)
}

struct StoreLog {
    store: Store,
    shown: mpsc::Sender<Note>,
}

impl Log for StoreLog {
    type Checkpoint = Published;

    fn checkpoints(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.store.watch_checkpoint()
    }

    fn note(published: &Published) -> &Note {
        &published.note
    }

    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, String> {
        let store = self.store.clone();
        let proof = tokio::task::spawn_blocking(move || store.tlog_consistency(old, new));
        let proof = proof.await.map_err(|error| error.to_string())?;
        proof.map_err(|error| causes(&error))
    }

    async fn cosigned(&self, witness: &str, size: u64) {
        let (store, name) = (self.store.clone(), witness.to_owned());
        let pinned = tokio::task::spawn_blocking(move || store.pin_tlog_size(&name, size)).await;
        if let Ok(Err(error)) = pinned {
            let error = causes(&error);
            tracing::error!(
                error,
                witness,
                "could not pin the size that {witness} has cosigned; after a pruning it may not be able to go on: {error}"
            );
        }
    }

    async fn shown(&self, witness: &str, note: Note) {
        // A note that waits already shows the same, or the next round shows it again.
        if self.shown.try_send(note).is_ok() {
            tracing::warn!(
                witness,
                "{witness} shows a checkpoint of this log; whether the log's own key signed it and the strand holds it is \
                 checked now"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parties;

    #[test]
    fn a_witness_with_a_bad_key_keeps_no_other_from_being_asked() {
        let key = "witness.example/w1+24b5d9fe+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
        let bad = key.replace("24b5d9fe", "24b5d9ff");
        let policy = format!(
            "witness bad {bad} https://b\nwitness good {key} https://g\ngroup witnesses all bad good\nquorum witnesses\n"
        );
        let (parties, wrong) = parties(&policy);
        assert_eq!(parties.len(), 1);
        assert_eq!(parties[0].url.as_deref(), Some("https://g"));
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with("the witness bad: the key's id is 24b5d9ff"),
            "{wrong:?}"
        );
        assert_eq!(super::parties(""), (vec![], vec![]));
    }
}
