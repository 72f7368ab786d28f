//! What a pod is asked about. Pure.

use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::events::v1::Event;

/// What a pod is asked about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) namespace: String,
    /// The name that was asked for: of a pod, or of a workload.
    pub(crate) name: String,
    pub(crate) pod: Option<Pod>,
    pub(crate) integration: Option<BoboykaIntegration>,
    pub(crate) strand: Option<BoboykaStrand>,
    pub(crate) claim: Option<PersistentVolumeClaim>,
    /// The Events of the namespace.
    pub(crate) events: Vec<Event>,
    /// What could not be read, as sentences.
    pub(crate) unread: Vec<String>,
}

impl Case {
    /// Whether an Event tells that such pods can't be created.
    pub(crate) fn tells_of_a_refusal(&self) -> bool {
        failure(&self.events, &self.name).is_some()
    }
}

/// The newest Event of an owner that could not create pods of this name, or of this workload: the owner's kind and name,
/// and the note.
pub(super) fn failure<'a>(events: &'a [Event], name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    events.iter().rev().find_map(|event| failed(event, name))
}

fn failed<'a>(event: &'a Event, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    if event.reason.as_deref() != Some("FailedCreate") {
        return None;
    }
    let regarding = event.regarding.as_ref()?;
    let owner = regarding.name.as_deref()?;
    let is_its = owner == name
        || owner.starts_with(&format!("{name}-"))
        || name.starts_with(&format!("{owner}-"));
    let kind = regarding.kind.as_deref().unwrap_or("its owner");
    is_its.then_some((kind, owner, event.note.as_deref()?))
}
