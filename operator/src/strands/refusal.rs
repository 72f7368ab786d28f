//! Why a pod is refused.

use boboyka_crds::names;

/// Why a pod is refused. The creator of the pod reads the message, with its causes.
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
    #[error("only the operator may set {0}: remove it from the pod")]
    Forged(String),
    #[error(
        "the operator did not give strand {0} to this pod: remove the boboyka.sapixdb.com annotations from its template"
    )]
    NotHeld(String),
    #[error("other pods took {attempts} strands in a row at the same moment: create the pod again")]
    Contended { attempts: usize },
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
