//! What happens to a pod at its admission.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionRequest;

/// What happens to a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// It is admitted with these changes.
    Inject(json_patch::Patch),
    /// It is admitted unchanged, for this reason.
    Skip(String),
    /// It is refused; whoever created it reads the message.
    Refuse(String),
}

impl Decision {
    /// The decision as metrics and logs name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Inject(_) => "injected",
            Self::Skip(_) => "skipped",
            Self::Refuse(_) => "refused",
        }
    }
}

/// Decides about one pod.
pub(crate) type Decide =
    Arc<dyn Fn(AdmissionRequest<DynamicObject>) -> BoxFuture<'static, Decision> + Send + Sync>;
