//! What the tests run on: the real sidecar as a process, and a Supabase made of the real Postgres and
//! the real PostgREST behind an edge that plays Supabase's gateway. Everything ends with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a harness that fails says where, and the test fails with it"
)]

pub mod edge;
pub mod process;
pub mod sidecar;
pub mod supabase;
mod tls;

pub use edge::Fault;
pub use sidecar::Sidecar;
pub use supabase::Supabase;
pub use tls::Tls;

/// An HTTP client; the TLS provider it wants is installed on the way.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap()
}
