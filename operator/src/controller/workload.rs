//! A workload that a selector may choose, as its metadata describes it. Pure.

use std::collections::BTreeMap;
use std::fmt;

use boboyka_crds::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The kind of a workload that a selector may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    CronJob,
}

/// A workload.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) kind: WorkloadKind,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) labels: BTreeMap<String, String>,
    /// The integration whose selector chose it.
    pub(super) selected_by: Option<String>,
}

impl Workload {
    /// Reads a workload's metadata.
    pub(super) fn of(kind: WorkloadKind, meta: &ObjectMeta) -> Self {
        Self {
            kind,
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            selected_by: selected_by(meta).cloned(),
        }
    }
}

/// The integration whose selector chose a workload.
pub(super) fn selected_by(meta: &ObjectMeta) -> Option<&String> {
    meta.annotations.as_ref()?.get(names::SELECTED_ANNOTATION)
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}
