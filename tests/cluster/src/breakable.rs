//! A cluster that tests break, one after another.

use std::ops::{Deref, DerefMut};

use anyhow::Result;
use tokio::sync::{Mutex, MutexGuard};

use crate::cluster::Cluster;

/// Holds the cluster between two tests.
pub type Slot = Mutex<Option<Cluster>>;

/// A cluster that one test has for itself. A test that leaves it whole gives it back for the next one; a test that fails
/// drops it, and the next one starts another.
#[expect(
    missing_debug_implementations,
    reason = "the cluster has nothing to show"
)]
pub struct Breakable {
    cluster: Cluster,
    slot: MutexGuard<'static, Option<Cluster>>,
}

impl Breakable {
    /// Waits until no other test has the slot's cluster and takes it. An empty slot gets what `start` starts.
    pub async fn take(
        slot: &'static Slot,
        start: impl Future<Output = Result<Cluster>>,
    ) -> Result<Self> {
        let mut slot = slot.lock().await;
        let cluster = match slot.take() {
            Some(cluster) => cluster,
            None => start.await?,
        };
        Ok(Self { cluster, slot })
    }

    /// Leaves the cluster to the next test: every node is ready, every process runs.
    pub fn give_back(self) {
        let Self { cluster, mut slot } = self;
        *slot = Some(cluster);
    }
}

impl Deref for Breakable {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for Breakable {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}
