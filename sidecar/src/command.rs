//! What the program can do.

mod drain;
mod phase;
mod prove;
mod serve;
mod verify;
mod wait;

pub use drain::drain;
pub use phase::{PhaseError, phase};
pub use prove::{ProveError, prove_folder, prove_running};
pub use serve::run;
pub use verify::{VerifyError, verify_checkpoint, verify_proof};
pub use wait::{WaitError, wait};
