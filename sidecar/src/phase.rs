//! Obeying the integration's phase: whenever another one is in force, the store is told, until it has
//! taken it; while a change is under way, the strand's boundary for it is fixed and watched.

use std::time::Duration;

use boboyka_strand::Seq;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::integration::Integration;
use crate::shutdown::Shutdown;
use crate::store::{Place, Store};

/// How soon a phase that the store could not take is offered again, and how often the lanes are looked at
/// while they drain to a boundary.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A strand's place in a change of phase under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
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
    shutdown: Shutdown,
) -> (watch::Receiver<Option<Boundary>>, JoinHandle<()>) {
    let (boundary, receiver) = watch::channel(None);
    let mut follower = Follower {
        store,
        integration,
        boundary,
        at: None,
    };
    let waits = follower.step().await;
    (receiver, tokio::spawn(follower.run(waits, shutdown)))
}

struct Follower {
    store: Store,
    integration: watch::Receiver<Integration>,
    boundary: watch::Sender<Option<Boundary>>,
    /// The boundary's place.
    at: Option<(i64, Place)>,
}

impl Follower {
    async fn run(mut self, mut waits: bool, mut shutdown: Shutdown) {
        loop {
            let look = async {
                if waits {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = shutdown.wait() => return,
                changed = self.integration.changed() => if changed.is_err() {
                    // Nothing changes any more.
                    return shutdown.wait().await;
                },
                () = look => {}
            }
            waits = self.step().await;
        }
    }

    /// Does what is to be done now; whether there is more to do soon.
    async fn step(&mut self) -> bool {
        let integration = *self.integration.borrow_and_update();
        // The boundary first: it must not lie behind the change that it is for.
        let drains = self.watch_boundary(&integration);
        let obeys = self.obey(&integration).await;
        drains || !obeys
    }

    /// Whether the store obeys what is in force.
    async fn obey(&self, integration: &Integration) -> bool {
        let Some(wanted) = integration.in_force else {
            return true;
        };
        if self
            .store
            .phase()
            .is_some_and(|state| state.phase == wanted.phase)
        {
            return true;
        }
        match self.store.set_phase(wanted.phase, wanted.generation).await {
            Ok(_) => true,
            Err(error) => {
                let phase = wanted.phase.as_str();
                tracing::warn!(%error, phase, "the phase {phase} could not be put into force yet");
                false
            }
        }
    }

    /// Fixes, watches or gives up the boundary; whether it is still to be watched.
    fn watch_boundary(&mut self, integration: &Integration) -> bool {
        let place = integration.transition.map(|generation| match self.at {
            Some((known, place)) if known == generation => (generation, place),
            _ => (generation, self.store.place()),
        });
        self.at = place;
        let boundary = place.map(|(generation, place)| Boundary {
            generation,
            seq: place.seq,
            drained: !integration.has_supabase || self.store.settled(&place),
        });
        self.boundary.send_if_modified(|shown| {
            let changed = *shown != boundary;
            *shown = boundary;
            changed
        });
        boundary.is_some_and(|boundary| !boundary.drained)
    }
}
