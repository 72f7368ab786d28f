//! Why a look at an integration failed.

/// Why an integration could not be brought to what it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Writes failed; each says what could not be done and why.
    #[error("{}", .0.join("; "))]
    Apply(Vec<String>),
    /// The status could not be written.
    #[error("could not write the status")]
    Publish(#[source] Box<kube::Error>),
}
