//! Obeying the integration's phase: puts each phase in force into the store, and retries until the store has
//! taken it; while a change is under way, fixes the strand's boundary for it and watches the lanes drain to it.

use std::time::Duration;

use boboyka_crds::{Change, Phase};
use boboyka_store::{PhaseChange, PhaseState, Store, View, WriteError, causes};
use boboyka_strand::Seq;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::integration::{InForce, Integration};
use crate::trouble::Trouble;

/// How soon a phase that the store could not take is offered again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How far a strand has come in a change of phase under way: the boundary that it fixed, and whether the lanes
/// have drained to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitionProgress {
    /// The integration's generation that asks for the change.
    pub generation: i64,
    /// The head when this was first seen.
    pub seq: Seq,
    /// Whether every record up to there that the phase mirrors is in its table or a dead letter. Without
    /// a Supabase there is nothing to wait for.
    pub drained: bool,
}

/// Starts following; what is in force now is obeyed when this returns, if the store takes it at once. The
/// boundary is `None` while no change is under way.
pub async fn follow(
    store: Store,
    integration: watch::Receiver<Integration>,
    shutdown: CancellationToken,
) -> (watch::Receiver<Option<TransitionProgress>>, JoinHandle<()>) {
    let (boundary, receiver) = watch::channel(None);
    let mut follower = Follower {
        store,
        integration,
        boundary,
        fixed: None,
        trouble: Trouble::with("put the phase into force"),
    };
    let pending = follower.step().await;
    (receiver, tokio::spawn(follower.run(pending, shutdown)))
}

struct Follower {
    store: Store,
    integration: watch::Receiver<Integration>,
    boundary: watch::Sender<Option<TransitionProgress>>,
    /// The strand when the boundary was fixed, and the generation that it was fixed for.
    fixed: Option<(i64, View)>,
    /// The store does not take the phase.
    trouble: Trouble,
}

/// What a follower waits for besides the next edit.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// The lanes drain to the boundary.
    drains: bool,
    /// The store has not taken the phase yet.
    refused: bool,
}

impl Follower {
    async fn run(mut self, mut pending: Pending, shutdown: CancellationToken) {
        let mut view = self.store.watch_view();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.integration.changed() => if changed.is_err() {
                    // Nothing changes any more.
                    return shutdown.cancelled().await;
                },
                Ok(()) = view.changed(), if pending.drains => {}
                () = tokio::time::sleep(RETRY_INTERVAL), if pending.refused => {}
            }
            view.mark_unchanged();
            pending = self.step().await;
        }
    }

    /// Obeys the integration as it is now.
    async fn step(&mut self) -> Pending {
        let integration = self.integration.borrow_and_update().clone();
        // The boundary first: it must not lie behind the change that it is for.
        let drains = self.watch_transition(&integration);
        let refused = !self.obey(&integration).await;
        Pending { drains, refused }
    }

    /// Whether the store obeys what is in force.
    async fn obey(&mut self, integration: &Integration) -> bool {
        let Some(wanted) = integration.in_force else {
            return true;
        };
        let phase = wanted.phase.as_str();
        match self.put(wanted, integration).await {
            Ok(state) if state.phase == wanted.phase => {
                self.trouble.over();
                true
            }
            Ok(_) => {
                let why =
                    "the strand recorded the end of the migration, after which no phase changes";
                self.trouble.is(&format!("{phase}: {why}"));
                true
            }
            Err(error) => {
                self.trouble.is(&format!("{phase}: {}", causes(&error)));
                false
            }
        }
    }

    /// The phase that the store obeys after this: first the one in force, then the end of the migration in it.
    async fn put(
        &self,
        wanted: InForce,
        integration: &Integration,
    ) -> Result<PhaseState, WriteError> {
        let change = |finalizes: bool, generation: i64| PhaseChange {
            phase: wanted.phase,
            generation,
            finalizes,
            how: how(wanted.phase, finalizes, integration),
        };
        let obeyed = self.store.view().phase;
        let state = match obeyed.filter(|state| state.phase == wanted.phase) {
            Some(state) => state,
            None => {
                self.store
                    .change_phase(change(false, wanted.generation))
                    .await?
            }
        };
        if !integration.finalized || state.finalized || state.phase != wanted.phase {
            return Ok(state);
        }
        self.store
            .change_phase(change(true, wanted.generation))
            .await
    }

    /// Fixes, watches or gives up the boundary; whether it is still to be watched.
    fn watch_transition(&mut self, integration: &Integration) -> bool {
        let now = self.store.view();
        self.fixed = integration.transition.map(|generation| match self.fixed {
            Some((known, fixed)) if known == generation => (generation, fixed),
            _ => (generation, now),
        });
        if let Some((_, fixed)) = self.fixed.filter(|_| integration.has_migration) {
            self.store.scrub_up_to(fixed.head.seq);
        }
        let boundary = self.fixed.map(|(generation, fixed)| TransitionProgress {
            generation,
            seq: fixed.head.seq,
            drained: !integration.has_supabase || now.has_settled(&fixed),
        });
        self.boundary.send_if_modified(|shown| {
            let changed = *shown != boundary;
            *shown = boundary;
            changed
        });
        boundary.is_some_and(|boundary| !boundary.drained)
    }
}

/// How the integration came to a phase, or to the end in it, if it says so.
fn how(phase: Phase, finalizes: bool, integration: &Integration) -> Option<Box<Change>> {
    let change = integration.change.clone();
    change.filter(|change| change.to == phase && change.finalized == finalizes)
}

#[cfg(test)]
mod tests {
    use boboyka_store::{Mark, NewRecord, Options};
    use boboyka_strand::{Record, RecordType};
    use tempfile::TempDir;

    use super::*;

    /// A follower of a store without a mirror.
    struct Following {
        store: Store,
        integration: watch::Sender<Integration>,
        boundary: watch::Receiver<Option<TransitionProgress>>,
        task: JoinHandle<()>,
        shutdown: CancellationToken,
        _folder: TempDir,
    }

    impl Following {
        async fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(Options::new(folder.path())).unwrap();
            let shutdown = CancellationToken::new();
            let (integration, obeyed) = watch::channel(Integration::standalone());
            let (boundary, task) = follow(store.clone(), obeyed, shutdown.clone()).await;
            Self {
                store,
                integration,
                boundary,
                task,
                shutdown,
                _folder: folder,
            }
        }

        async fn ingest(&self, count: usize) -> Seq {
            let data = r#"{"agent_id":"a","status":"healthy"}"#;
            let record = Record::from_json(RecordType::AgentHealth, data).unwrap();
            let new = NewRecord { record, key: None };
            let appended = self.store.append(vec![new; count]).await.unwrap();
            appended.last().unwrap().as_ref().unwrap().seq
        }

        fn ask(&self, transition: Option<i64>) {
            self.integration
                .send_modify(|integration| integration.transition = transition);
        }

        async fn shown(
            &mut self,
            is_so: impl Fn(&TransitionProgress) -> bool,
        ) -> TransitionProgress {
            let wait = self
                .boundary
                .wait_for(|shown| shown.as_ref().is_some_and(&is_so));
            wait.await.unwrap().unwrap()
        }

        async fn stop(self) {
            self.shutdown.cancel();
            self.task.await.unwrap();
            let close = move || self.store.close();
            tokio::task::spawn_blocking(close).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_phase_in_force_is_obeyed_at_the_start_and_after_every_edit() {
        let following = Following::start().await;
        let mut phase = following.store.watch_phase();
        assert_eq!(phase.borrow_and_update().unwrap().phase, Phase::DualWrite);
        for wanted in [Phase::MigrateInternals, Phase::CutOver, Phase::DualWrite] {
            let in_force = Some(InForce {
                phase: wanted,
                generation: 2,
            });
            following
                .integration
                .send_modify(|integration| integration.in_force = in_force);
            let obeyed = phase.wait_for(|state| state.is_some_and(|state| state.phase == wanted));
            obeyed.await.unwrap();
        }
        following.stop().await;
    }

    #[tokio::test]
    async fn a_boundary_is_fixed_when_the_change_is_seen_and_drained_when_the_lanes_came_so_far() {
        let mut following = Following::start().await;
        let seq = following.ingest(30).await;
        assert_eq!(*following.boundary.borrow(), None);
        following.ask(Some(7));
        let fixed = following.shown(|_| true).await;
        let expected = TransitionProgress {
            generation: 7,
            seq,
            drained: false,
        };
        assert_eq!(fixed, expected);
        let mark = Mark {
            seq,
            mirrored: 30,
            dead_lettered: 0,
        };
        let lane = RecordType::AgentHealth;
        following.store.advance(lane, mark, vec![]).await.unwrap();
        let drained = following.shown(|boundary| boundary.drained).await;
        assert_eq!(drained.seq, seq, "it stays where it was");
        following.ingest(3).await;
        following.ask(Some(8));
        let next = following.shown(|boundary| boundary.generation == 8).await;
        assert_eq!(next.seq, seq + 3);
        following.ask(None);
        following.boundary.wait_for(Option::is_none).await.unwrap();
        following.stop().await;
    }
}
