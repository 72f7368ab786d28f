//! A strand as a pod holds it. Pure.

use boboyka_crds::Holder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::token::digest;

/// A strand and the token that ties a pod to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The strand's name.
    pub(crate) strand: String,
    /// Ties the pod to the strand until the pod has a UID.
    pub(crate) token: String,
}

impl Held {
    /// The holder that the strand names from `since` on: the hash of a token, and no pod yet.
    pub(crate) fn holder(&self, since: Time) -> Holder {
        Holder {
            token: digest(&self.token),
            since: Some(since),
            ..Holder::default()
        }
    }
}
