//! What the tests run on: the real sidecar as a process, and a Supabase made of the real Postgres and
//! the real PostgREST behind an edge that plays Supabase's gateway. Everything ends with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a harness that fails says where, and the test fails with it"
)]

mod client;
pub mod edge;
pub mod process;
mod rest;
pub mod sidecar;
pub mod supabase;
mod tls;

pub use client::client;
pub use edge::Fault;
pub use rest::Rest;
pub use sidecar::Sidecar;
pub use supabase::Supabase;
pub use tls::Tls;
