//! The cluster, on the real thing: what it can do, how it breaks, and that it goes away without a trace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

mod admission;
mod authorization;
mod charts;
mod definitions;
mod faults;
mod operator_shell;
mod product;
mod shared;
mod trace;
