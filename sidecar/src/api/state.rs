//! What handlers work with.

use boboyka_mirror::Mirror;
use boboyka_store::Store;

use super::body::Bodies;
use super::requests::Requests;

/// What handlers work with.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) mirror: Mirror,
    pub(crate) bodies: Bodies,
    pub(crate) requests: Requests,
    /// When the sidecar started, in seconds since 1970.
    pub(crate) started_at: f64,
}

impl Api {
    pub(crate) fn new(store: Store, mirror: Mirror) -> Self {
        Self {
            store,
            mirror,
            bodies: Bodies::new(),
            requests: Requests::default(),
            started_at: since_1970(),
        }
    }
}

fn since_1970() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
