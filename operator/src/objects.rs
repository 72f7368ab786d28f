//! The objects that the operator creates, each from a validated integration. Pure.

pub(crate) mod claim;
pub(crate) mod job;
mod labels;
pub(crate) mod role_binding;
pub(crate) mod strand;
