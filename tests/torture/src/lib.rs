//! Torture: what power cuts, failing disks, damage, kills and wrong clocks leave of a strand, and what the sidecar says
//! when it starts on that. Every acknowledged record must be there or its loss be told; a crash is no damage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a torture that fails says where"
)]

mod acks;
pub mod check;
mod content;
pub mod drive;
pub mod log;
pub mod model;
pub mod record;
pub mod rows;
mod subject;
pub mod table;
pub mod tamper;
mod tools;
pub mod torture;

pub use tools::Tools;
