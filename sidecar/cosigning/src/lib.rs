//! Has a log's checkpoints cosigned by the witnesses of a policy (<https://c2sp.org/tlog-witness>).
//!
//! A [`Cosigner`] goes in rounds: it takes the newest checkpoint, asks every witness for its cosignature, and publishes the
//! checkpoint with those that hold. While the log grows there is a round at least every half minute; while it stands still
//! there is none, but for witnesses that failed. A witness that was never asked, or that another copy of the log has asked
//! meanwhile, answers with the size it cosigned last; it is asked again from there.

mod ask;
mod client;
mod log;
mod round;
mod shown;

pub use ask::Fault;
pub use client::SetupError;
pub use log::Log;
pub use round::{Cosigned, Cosigner, WitnessStatus};
pub use shown::shown;
