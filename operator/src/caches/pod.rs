//! A labelled pod as the caches keep it: there are many pods, so of each only what is read.

use std::sync::Arc;

use boboyka_crds::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::words::Words;
use crate::token::digest;

/// A labelled pod that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    /// Its integration.
    pub(crate) integration: Arc<str>,
    /// Its name.
    pub(crate) name: String,
    /// Its UID.
    pub(crate) uid: String,
    /// The strand that it was given.
    pub(crate) strand: Option<Box<str>>,
    /// The hash of the token that ties it to the strand.
    pub(crate) token: Option<String>,
    /// The slot whose strand it was given.
    pub(crate) slot: Option<Box<str>>,
    /// Its workload.
    pub(crate) workload: Option<Box<str>>,
    /// The image that its sidecar should run.
    pub(crate) image: Option<Arc<str>>,
    /// A hash of the Secrets and the resources that its sidecar got.
    pub(crate) settings: Option<Arc<str>>,
    /// Since when its sidecar is being moved to that image.
    pub(crate) updating_since: Option<Time>,
    /// Whether it is terminating.
    pub(crate) terminating: bool,
    /// Whether it is of a Job of the operator, and runs no agent.
    pub(crate) of_job: bool,
}

impl Pod {
    /// A pod from its metadata.
    pub(super) fn of(meta: ObjectMeta, words: &Words) -> Self {
        let labels = meta.labels.unwrap_or_default();
        let mut annotations = meta.annotations.unwrap_or_default();
        let since = annotations.remove(names::UPDATING_ANNOTATION);
        Self {
            integration: words.share(
                labels
                    .get(names::INTEGRATION_LABEL)
                    .map_or("", String::as_str),
            ),
            name: meta.name.unwrap_or_default(),
            uid: meta.uid.unwrap_or_default(),
            strand: annotations.remove(names::STRAND_ANNOTATION).map(Into::into),
            token: annotations
                .remove(names::TOKEN_ANNOTATION)
                .map(|token| digest(&token)),
            slot: annotations.remove(names::SLOT_ANNOTATION).map(Into::into),
            workload: annotations
                .remove(names::WORKLOAD_ANNOTATION)
                .map(Into::into),
            image: annotations
                .get(names::IMAGE_ANNOTATION)
                .map(|image| words.share(image)),
            settings: annotations
                .get(names::SETTINGS_ANNOTATION)
                .map(|settings| words.share(settings)),
            updating_since: since.and_then(|text| text.parse().ok()).map(Time),
            terminating: meta.deletion_timestamp.is_some(),
            of_job: labels.contains_key(names::JOB_LABEL),
        }
    }
}
