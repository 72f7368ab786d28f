//! Why a pod is refused.

use boboyka_crds::names;

use super::ATTEMPTS;

/// Why a pod is refused; the message is for whoever looks why it does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no BoboykaIntegration {name} in the namespace {namespace}: create it, or take the label {label} off the pod", label = names::INTEGRATION_LABEL)]
    NoIntegration { name: String, namespace: String },
    #[error("BoboykaIntegration {name} can't be acted on: {why}")]
    Invalid { name: String, why: String },
    #[error("{0} is given by the operator; take it off the pod")]
    Forged(String),
    #[error("the strand {0} was not given to this pod; take our annotations off its template")]
    NotHeld(String),
    #[error("{ATTEMPTS} strands in a row were given to other pods in the same moment; try again")]
    Crowded,
    #[error("could not {doing}: {source}")]
    Api {
        doing: String,
        source: Box<kube::Error>,
    },
}

/// Whether another was quicker, or it is there already.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// A refusal because the API server did not do what was asked of it.
pub(super) fn api_error(doing: &str) -> impl FnOnce(kube::Error) -> Refusal + use<> {
    let doing = doing.to_owned();
    move |source| Refusal::Api {
        doing,
        source: Box::new(source),
    }
}
