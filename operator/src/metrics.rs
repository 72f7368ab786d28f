//! The operator's metrics, and the layer that counts requests to the API server.

mod labels;
mod registry;
mod requests;

pub(crate) use labels::{Admitted, Reconciled, StrandState};
pub(crate) use registry::Metrics;
pub(crate) use requests::CountRequests;

/// All metrics as text, with a series of each.
///
/// # Errors
/// A metric can't be written.
pub(crate) fn described() -> Result<String, std::fmt::Error> {
    let metrics = Metrics::default();
    metrics.requested("get", "pods".to_owned(), 200);
    metrics.set_queue("integration", 0);
    metrics.set_integrations("DualWrite", 0);
    metrics.set_closed_gates("Drained", 0);
    metrics.text()
}
