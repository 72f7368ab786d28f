//! What the store's callers and its two threads share.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use boboyka_strand::Head;
use tokio::sync::watch;
use uuid::Uuid;

use crate::commits::Commits;
use crate::error::TlogError;
use crate::lock::Lock;
use crate::options::Options;
use crate::phase::PhaseState;
use crate::poison::Poison;
use crate::pruned::PrunedIndex;
use crate::quarantine::Quarantine;
use crate::queue::Queue;
use crate::recent::Recent;
use crate::signing::Signing;
use crate::state::State;
use crate::tail::Tail;
use crate::tlog::{Kept, Pins, TreeFile};
use crate::versions::Versions;
use crate::view::View;

/// What the store's callers and its two threads share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) strand: Uuid,
    pub(crate) tail: Tail,
    pub(crate) queue: Queue,
    pub(crate) state: RwLock<State>,
    pub(crate) signals: Signals,
    pub(crate) pruned_index: PrunedIndex,
    pub(crate) segments_folder: PathBuf,
    pub(crate) versions: Versions,
    pub(crate) poison: Poison,
    pub(crate) quarantine: Quarantine,
    /// Why the tail's index was made anew.
    pub(crate) rebuilt: Option<String>,
    pub(crate) lock: Lock,
    /// The tree's file, or why there is none.
    pub(crate) tree_file: Result<TreeFile, String>,
    pub(crate) kept: Kept,
    pub(crate) pins: Mutex<Pins>,
    pub(crate) signing: Signing,
    /// The scrub is to read every record up to here again.
    pub(crate) scrub_wanted: AtomicU64,
    /// Tiles of the transparency log that were made lately.
    pub(crate) recent: Recent,
    pub(crate) commits: Commits,
}

/// Wakes those who wait for the state to change.
pub(crate) struct Signals {
    pub(crate) head: watch::Sender<Head>,
    pub(crate) phase: watch::Sender<Option<PhaseState>>,
    /// Anything in a view.
    pub(crate) view: watch::Sender<()>,
}

impl Signals {
    pub(crate) fn of(view: &View) -> Self {
        Self {
            head: watch::Sender::new(view.head),
            phase: watch::Sender::new(view.phase),
            view: watch::Sender::new(()),
        }
    }

    /// Wakes the waiters that the step to this view concerns.
    pub(crate) fn send(&self, view: &View) {
        let moved = |now: &mut Head| std::mem::replace(now, view.head) != view.head;
        self.head.send_if_modified(moved);
        let changed = |now: &mut _| std::mem::replace(now, view.phase) != view.phase;
        self.phase.send_if_modified(changed);
        self.view.send_replace(());
    }
}

impl Shared {
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes those who wait for it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (changed, view) = {
            let mut state = self.state_mut();
            (change(&mut state), state.view())
        };
        self.signals.send(&view);
        changed
    }

    /// Changes what no view shows.
    pub(crate) fn change_quietly(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state_mut());
    }

    /// Why there is no tree.
    pub(crate) fn no_tree(&self) -> TlogError {
        let why = self.tree_file.as_ref().err().cloned();
        TlogError::Unavailable(why.unwrap_or_default())
    }

    pub(crate) fn view(&self) -> View {
        self.state().view()
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
