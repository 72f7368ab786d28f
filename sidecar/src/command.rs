//! What the program can do.

mod drain;
mod phase;
mod serve;
mod wait;

pub use drain::drain;
pub use phase::{PhaseError, phase};
pub use serve::run;
pub use wait::{WaitError, wait};
