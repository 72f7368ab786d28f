//! What happens to a pod, or to a change of an integration, at its admission.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionRequest;

use crate::metrics::Admitted;

/// What happens to a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// It is admitted with these changes.
    Inject(json_patch::Patch),
    /// It is an integration or a strand, which is admitted with who changed it, and with warnings for the caller.
    Sign {
        /// The change; perhaps none.
        patch: json_patch::Patch,
        /// What the caller is to know.
        warnings: Vec<String>,
    },
    /// It is admitted unchanged, for this reason.
    Skip(String),
    /// It is refused; whoever created it reads the message.
    Refuse(String),
}

impl Decision {
    /// The decision as metrics and logs name it.
    pub(super) fn outcome(&self) -> Admitted {
        match self {
            Self::Inject(_) => Admitted::Injected,
            Self::Sign { .. } => Admitted::Signed,
            Self::Skip(_) => Admitted::Skipped,
            Self::Refuse(_) => Admitted::Refused,
        }
    }
}

/// Decides about one pod.
pub(crate) type Decide =
    Arc<dyn Fn(AdmissionRequest<DynamicObject>) -> BoxFuture<'static, Decision> + Send + Sync>;
