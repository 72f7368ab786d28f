//! The product from outside: the real sidecar, and a real Postgres and PostgREST behind it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that panics says where"
)]

mod durability;
mod ends;
mod inside;
mod kills;
mod mirror;
mod mirror_lanes;
mod observers;
mod page;
mod phases;
mod purity;
mod refusals;
mod retention;
mod secrecy;
mod words;
