//! What all writers to the API server share: how a write ends, and under which name it is made.

use boboyka_crds::names;
use kube::api::PatchParams;

/// How a write ended.
pub(crate) type Outcome = Result<(), kube::Error>;

/// A merge patch by the operator.
pub(crate) fn merge_parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(names::OPERATOR_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Whether somebody else wrote first: the object exists already, or it changed since it was read.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether the object is gone, or changed since it was read. The next look sees which.
pub(crate) fn is_outdated(error: &kube::Error) -> bool {
    is_conflict(error) || matches!(error, kube::Error::Api(status) if status.code == 404)
}
