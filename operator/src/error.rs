//! Why the operator ends other than by a signal.

use std::net::SocketAddr;

use crate::certificates::CertificatesError;
use crate::witness_key::MakeKeyError;

/// Why the operator ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No API server is configured.
    #[error(
        "could not find the API server: set KUBECONFIG, or run in a pod with a service account token"
    )]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An address could not be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A server stopped.
    #[error("the {server} server stopped")]
    Serve {
        /// The server.
        server: &'static str,
        /// Why it stopped.
        source: std::io::Error,
    },
    /// The witness has no key.
    #[error(transparent)]
    WitnessKey(#[from] MakeKeyError),
    /// API servers can't be made to trust this replica.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// Another replica may lead now.
    #[error("the Lease was lost: {0}")]
    LeaseLost(String),
    /// A decision about a pod panicked.
    #[error("a decision about a pod panicked")]
    DecisionPanicked,
    /// A task panicked.
    #[error("the task {0:?} panicked")]
    TaskPanicked(&'static str),
    /// A task ended by itself.
    #[error("the task {0:?} ended before the operator did")]
    TaskEnded(&'static str),
}
