//! What the program can do.

mod drain;
mod serve;
mod verify;
mod wait;

pub use drain::drain;
pub use serve::run;
pub use verify::{VerifyError, verify_proof};
pub use wait::{WaitError, wait};
