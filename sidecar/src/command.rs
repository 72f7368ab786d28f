//! What the program can do besides serving.

mod drain;
mod wait;

pub use drain::drain;
pub use wait::{WaitError, wait};
