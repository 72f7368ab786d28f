//! x

pub mod mirror;
pub mod shutdown;
pub mod store;
