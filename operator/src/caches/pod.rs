//! A labelled pod as it is kept: pods are the many, so of each only what is read.

use boboyka_crds::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// A labelled pod that has not come to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its integration.
    pub integration: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The strand that it was given.
    pub strand: Option<String>,
    /// What ties it to the strand.
    pub token: Option<String>,
    /// The image that its sidecar is to run.
    pub image: Option<String>,
    /// Since when its sidecar is being moved to that image.
    pub updating_since: Option<Time>,
    /// Whether it was told to end.
    pub terminating: bool,
    /// Whether it is there to drain a strand.
    pub drains: bool,
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
            token: annotations.remove(names::TOKEN_ANNOTATION),
            image: annotations.remove(names::IMAGE_ANNOTATION),
            updating_since: since.and_then(|text| text.parse().ok()).map(Time),
            terminating: meta.deletion_timestamp.is_some(),
            drains: labels.contains_key(names::DRAIN_LABEL),
        }
    }
}
