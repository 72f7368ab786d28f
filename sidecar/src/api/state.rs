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
}

impl Api {
    pub(crate) fn new(store: Store, mirror: Mirror) -> Self {
        Self {
            store,
            mirror,
            bodies: Bodies::new(),
            requests: Requests::default(),
        }
    }
}
