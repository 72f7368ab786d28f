//! Obeying the integration's phase: puts each phase in force into the store, and retries until the store has
//! taken it; while a change is under way, fixes the strand's boundary for it and watches the lanes drain to it.

use std::time::{Duration, Instant};

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

/// The same of a list for which the strand has no room: pruning makes some.
const LIST_RETRY_INTERVAL: Duration = Duration::from_mins(1);

/// Why the store keeps the list that it has.
const LIST_FULL: &str = "the strand keeps the list of legacy projects that it has, because it remembers no more projects that \
     left the list: they go with what retention prunes, and with a return to DualWrite";

/// How far a strand has come in a change of phase under way: the boundary that it fixed, and whether the lanes
/// have drained to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitionProgress {
    /// The integration's generation that asks for the change.
    pub generation: i64,
    /// The phase that it begins in, as one generation may ask for two steps.
    pub phase: Option<Phase>,
    /// The head when this was first seen.
    pub seq: Seq,
    /// When that was, by the clock that never jumps.
    pub fixed: Instant,
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
    fixed: Option<Fixed>,
    /// The store does not take the phase.
    trouble: Trouble,
}

/// The boundary of a change under way.
#[derive(Clone, Copy)]
struct Fixed {
    /// The generation that asks for the change, and the phase that it begins in.
    generation: i64,
    phase: Option<Phase>,
    /// The strand then.
    view: View,
    at: Instant,
}

/// What a follower waits for besides the next edit.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// The lanes drain to the boundary.
    drains: bool,
    /// The store has not taken all of it yet: how soon that is offered again.
    retry: Option<Duration>,
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
                () = tokio::time::sleep(pending.retry.unwrap_or_default()), if pending.retry.is_some() => {}
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
        let retry = self.obey(&integration).await;
        Pending { drains, retry }
    }

    /// Has the store obey what is in force; how soon that is tried again, if the store may take it then.
    async fn obey(&mut self, integration: &Integration) -> Option<Duration> {
        let wanted = integration.in_force?;
        let phase = wanted.phase.as_str();
        if self.lacks_list(wanted, integration) {
            let why = "the list of legacy projects in force is not known: the specification has another one, or its ConfigMap was not read yet";
            self.trouble.is(&format!("{phase}: {why}"));
            return None;
        }
        match self.put(wanted, integration).await {
            Ok(state) if state.phase == wanted.phase => {
                if state.finalized || self.has_list(integration) {
                    self.trouble.over();
                    return None;
                }
                self.trouble.is(&format!("{phase}: {LIST_FULL}"));
                Some(LIST_RETRY_INTERVAL)
            }
            Ok(_) => {
                let why =
                    "the strand recorded the end of the migration, after which no phase changes";
                self.trouble.is(&format!("{phase}: {why}"));
                None
            }
            Err(error) => {
                self.trouble.is(&format!("{phase}: {}", causes(&error)));
                Some(RETRY_INTERVAL)
            }
        }
    }

    /// Whether a phase would mirror less from now on, and nobody knows which projects it leaves out.
    fn lacks_list(&self, wanted: InForce, integration: &Integration) -> bool {
        let mirrors = self.store.view().phase;
        let mirrors = mirrors.is_none_or(|state| state.phase.mirrors());
        integration.legacy.is_none() && mirrors && !wanted.phase.mirrors()
    }

    /// Whether the store has the list of legacy projects in force.
    fn has_list(&self, integration: &Integration) -> bool {
        let list = integration.legacy.as_ref();
        list.is_none_or(|change| self.store.has_list(&change.list))
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
            list: integration.legacy.clone(),
        };
        let obeyed = self.store.view().phase;
        let is_as_wanted =
            |state: &PhaseState| state.phase == wanted.phase && self.has_list(integration);
        let state = match obeyed.filter(is_as_wanted) {
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
        // One generation may ask for two steps.
        let phase = integration.in_force.map(|in_force| in_force.phase);
        self.fixed = integration.transition.map(|generation| match self.fixed {
            Some(fixed) if (fixed.generation, fixed.phase) == (generation, phase) => fixed,
            _ => Fixed {
                generation,
                phase,
                view: now,
                at: Instant::now(),
            },
        });
        if let Some(fixed) = self.fixed.filter(|_| integration.has_migration) {
            self.store.scrub_up_to(fixed.view.head.seq);
        }
        let boundary = self.fixed.map(|fixed| TransitionProgress {
            generation: fixed.generation,
            phase: fixed.phase,
            seq: fixed.view.head.seq,
            fixed: fixed.at,
            drained: !integration.has_supabase || now.has_settled(&fixed.view),
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
mod tests;
