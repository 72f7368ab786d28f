//! The operator's metrics, and the layer that counts requests to the API server.

mod labels;
mod registry;
mod requests;

pub(crate) use labels::{Admitted, Reconciled, StrandState};
pub(crate) use registry::Metrics;
pub(crate) use requests::CountRequests;
