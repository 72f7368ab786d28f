//! What the program can do.

mod drain;
mod serve;
mod wait;

pub use drain::drain;
pub use serve::run;
pub use wait::{WaitError, wait};
