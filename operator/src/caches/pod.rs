//! A labelled pod as the caches keep it: there are many pods, so of each only what is read.

use boboyka_crds::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::token::digest;

/// A labelled pod that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    /// Its integration.
    pub(crate) integration: String,
    /// Its name.
    pub(crate) name: String,
    /// Its UID.
    pub(crate) uid: String,
    /// The strand that it was given.
    pub(crate) strand: Option<String>,
    /// The hash of the token that ties it to the strand.
    pub(crate) token: Option<String>,
    /// The slot whose strand it was given.
    pub(crate) slot: Option<Box<str>>,
    /// Its workload.
    pub(crate) workload: Option<Box<str>>,
    /// The image that its sidecar should run.
    pub(crate) image: Option<String>,
    /// A hash of the Secret and the resources that its sidecar got.
    pub(crate) settings: Option<Box<str>>,
    /// Since when its sidecar is being moved to that image.
    pub(crate) updating_since: Option<Time>,
    /// Whether it is terminating.
    pub(crate) terminating: bool,
    /// Whether it drains a strand.
    pub(crate) drains: bool,
}

impl Pod {
    /// A pod from its metadata.
    pub(super) fn of(meta: ObjectMeta) -> Self {
        let mut labels = meta.labels.unwrap_or_default();
        let mut annotations = meta.annotations.unwrap_or_default();
        let since = annotations.remove(names::UPDATING_ANNOTATION);
        Self {
            integration: labels.remove(names::INTEGRATION_LABEL).unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            strand: annotations.remove(names::STRAND_ANNOTATION),
            token: annotations
                .remove(names::TOKEN_ANNOTATION)
                .map(|token| digest(&token)),
            slot: annotations.remove(names::SLOT_ANNOTATION).map(Into::into),
            workload: annotations
                .remove(names::WORKLOAD_ANNOTATION)
                .map(Into::into),
            image: annotations.remove(names::IMAGE_ANNOTATION),
            settings: annotations
                .remove(names::SETTINGS_ANNOTATION)
                .map(Into::into),
            updating_since: since.and_then(|text| text.parse().ok()).map(Time),
            terminating: meta.deletion_timestamp.is_some(),
            drains: labels.contains_key(names::DRAIN_LABEL),
        }
    }
}
