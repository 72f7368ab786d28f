//! The sidecar: takes records on localhost, keeps them in a strand, mirrors them to Supabase.

pub mod mirror;
pub mod shutdown;
pub mod store;
