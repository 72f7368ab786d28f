//! The objects that the operator creates, each from a validated integration. Pure.

pub(crate) mod claim;
pub(crate) mod drain;
mod labels;
pub(crate) mod role_binding;
pub(crate) mod strand;
