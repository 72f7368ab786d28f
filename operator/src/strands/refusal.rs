//! Why a pod gets no strand.

use boboyka_crds::{Fence, names};

/// Why a pod gets no strand. The creator of the pod reads the message, with its causes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no BoboykaIntegration {name} in namespace {namespace}: create it, or remove the label {label} from the pod", label = names::INTEGRATION_LABEL)]
    NoIntegration { name: String, namespace: String },
    #[error("the label {label} has no value: set it to the name of a BoboykaIntegration, or remove it from the pod", label = names::INTEGRATION_LABEL)]
    NoName,
    #[error(
        "BoboykaIntegration {name} is not valid: {why}: correct it, or remove the label {label} from the pod",
        label = names::INTEGRATION_LABEL
    )]
    Invalid { name: String, why: String },
    #[error(
        "{owner} owns the pod but {user} creates it: only the controller of {owner} may create pods for its strands; remove the owner reference"
    )]
    NotItsController { owner: String, user: String },
    #[error(
        "too many pods of namespace {0} asked for strands within a few seconds: create the pod again later"
    )]
    Throttled(String),
    #[error(
        "strand {strand} is {fence}, and no other has the records of this ordinal: the pod waits until somebody runs \
         kubectl boboyka unfence {strand} -n {namespace}"
    )]
    Fenced {
        strand: String,
        namespace: String,
        fence: Box<Fence>,
    },
    #[error("could not {doing}")]
    Api {
        doing: String,
        source: Box<kube::Error>,
    },
}

/// A refusal because the API server did not do what was asked of it.
pub(super) fn api_error(doing: String) -> impl FnOnce(kube::Error) -> Refusal {
    move |source| Refusal::Api {
        doing,
        source: Box::new(source),
    }
}
