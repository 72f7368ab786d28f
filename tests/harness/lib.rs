//! What the tests run on: the real sidecar as a process, and a Supabase made of the real Postgres and
//! the real PostgREST behind an edge that plays Supabase's gateway; verifiers and a witness of logs, and an object store, that others wrote.
//! Everything ends with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a harness that fails says where, and the test fails with it"
)]

mod client;
mod collector;
pub mod document;
pub mod edge;
pub mod follower;
pub mod log;
pub mod objects;
pub mod preload;
pub mod process;
pub mod promises;
mod provisioned;
mod rest;
mod served;
pub mod sidecar;
pub mod supabase;
mod tls;
pub mod verifiers;

pub use client::client;
pub use collector::{Collector, Traced};
pub use edge::Fault;
pub use log::Log;
pub use objects::Objects;
pub use preload::Preload;
pub use rest::Rest;
pub use served::serve;
pub use sidecar::Sidecar;
pub use supabase::Supabase;
pub use tls::Tls;
