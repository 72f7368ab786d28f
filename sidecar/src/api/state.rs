//! What handlers work with.

use std::sync::Arc;

use boboyka_mirror::Mirror;
use boboyka_store::Store;
use tokio::sync::{Semaphore, watch};

use super::body::Bodies;
use super::requests::Requests;
use crate::file::Standing;

/// Verifications at a time: each computes every hash of the strand.
const VERIFICATIONS_MAX: usize = 2;
/// Pages of events that are made at a time: each holds its records in memory, at most twice.
const PAGES_MADE_MAX: usize = 4;
/// Pages of events at a time, those included that are made and not read yet.
const PAGES_MAX: usize = 8;

/// What handlers work with.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) mirror: Mirror,
    pub(crate) bodies: Bodies,
    pub(crate) requests: Requests,
    /// A verification without a permit is refused.
    pub(crate) verifications: Arc<Semaphore>,
    /// A page without a permit waits for one.
    pub(crate) pages: Arc<Semaphore>,
    pub(crate) pages_made: Arc<Semaphore>,
    /// How the file of the integration stands, if there is one.
    pub(crate) standing: Option<watch::Receiver<Arc<Standing>>>,
    /// When the sidecar started, in seconds since 1970.
    pub(crate) started_at: f64,
}

impl Api {
    pub(crate) fn new(
        store: Store,
        mirror: Mirror,
        standing: Option<watch::Receiver<Arc<Standing>>>,
    ) -> Self {
        Self {
            store,
            mirror,
            bodies: Bodies::new(),
            requests: Requests::default(),
            verifications: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            pages_made: Arc::new(Semaphore::new(PAGES_MADE_MAX)),
            standing,
            started_at: since_1970(),
        }
    }
}

fn since_1970() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
