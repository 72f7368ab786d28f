//! A strand as a pod holds it. Pure.

use boboyka_crds::Holder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A strand and the token that ties a pod to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The strand's name.
    pub(crate) strand: String,
    /// Ties the pod to the strand until the pod has a UID.
    pub(crate) token: String,
}

impl Held {
    /// The holder that the strand names from `since` on: a token, and no pod yet.
    pub(crate) fn holder(&self, since: Time) -> Holder {
        Holder {
            token: self.token.clone(),
            since: Some(since),
            ..Holder::default()
        }
    }
}

/// A token that no other pod has.
pub(crate) fn new_token() -> String {
    uuid::Uuid::new_v4().to_string()
}
