//! The operator and its sidecars on real nodes: what a platform team sees, and what becomes of every record.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

mod agents;
mod archive;
mod backfill;
mod before;
mod caller;
mod documents;
mod faults;
mod legacy;
mod load;
mod migration;
mod path;
mod phases;
mod plugin;
mod product;
mod restarts;
mod upgrade;
mod workloads;
