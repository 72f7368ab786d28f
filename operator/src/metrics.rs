//! The operator's metrics, and the layer that counts requests to the API server.

mod registry;
mod requests;

pub(crate) use registry::{Metrics, Reconciled};
pub(crate) use requests::CountRequests;
