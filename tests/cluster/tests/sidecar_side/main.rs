//! The sidecar's side of a cluster: the real process against a real API server. There are no pods and no operator here:
//! what the operator would write, the tests write themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

mod drain;
mod obedience;
mod outages;
mod reports;
mod stage;
