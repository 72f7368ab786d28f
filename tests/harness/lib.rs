//! What the tests run on: the real sidecar as a process, and a Supabase made of the real Postgres and
//! the real PostgREST behind an edge that plays Supabase's gateway; verifiers and a witness of logs that others wrote.
//! Everything ends with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a harness that fails says where, and the test fails with it"
)]

mod client;
pub mod document;
pub mod edge;
pub mod log;
pub mod process;
mod provisioned;
mod rest;
pub mod sidecar;
pub mod supabase;
mod tls;
pub mod verifiers;

pub use client::client;
pub use edge::Fault;
pub use log::Log;
pub use rest::Rest;
pub use sidecar::Sidecar;
pub use supabase::Supabase;
pub use tls::Tls;
