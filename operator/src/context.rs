//! The values that every part of the operator works with.

use std::sync::Arc;

use boboyka_otlp::Traces;
use kube::Client;

use crate::config::Config;
use crate::health::Readiness;
use crate::metrics::Metrics;

/// The values that every part of the operator works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    /// The API server; requests through it are counted.
    pub(crate) client: Client,
    /// Flags and environment.
    pub(crate) config: Arc<Config>,
    /// The metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether this replica is ready.
    pub(crate) readiness: Readiness,
    /// What opens spans, if a collector is named.
    pub(crate) traces: Option<Traces>,
}
