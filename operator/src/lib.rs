//! The operator: answers the API server about pods that are to be created, and, on the replica that holds the Lease,
//! reconciles integrations and strands.
//!
//! [`run`] starts everything and ends everything with one signal. A task that ends or panics before the signal ends the
//! process, and so does a Lease that was lost: a new start mends what the log tells of.

pub mod admission;
pub mod config;
pub mod metrics;
pub mod observe;
pub mod shutdown;
pub mod telemetry;

use std::sync::Arc;

use kube::Client;

use config::Config;
use metrics::Metrics;
use observe::Readiness;

/// What every part of the operator works with; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The API server; what goes through it is counted.
    pub client: Client,
    /// Flags and environment.
    pub config: Arc<Config>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What makes this replica ready.
    pub readiness: Readiness,
}

/// Why the operator ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No way to the API server is configured.
    #[error("could not find out how to reach the API server")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Serves until a signal to end, or until something fails.
///
/// # Errors
/// [`RunError`]: what kept it from starting, or made it stop.
#[expect(clippy::unused_async, reason = "being written")]
pub async fn run(config: Config) -> Result<(), RunError> {
    drop(config);
    Ok(())
}
