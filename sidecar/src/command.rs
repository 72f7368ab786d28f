//! What the program can do.

mod backfill;
mod drain;
mod phase;
mod prove;
mod restore;
mod serve;
mod verify;
mod wait;

pub use backfill::backfill;
pub use drain::drain;
pub use phase::{PhaseError, phase};
pub use prove::{ProveError, prove_folder, prove_running};
pub use restore::{RestoreError, restore};
pub use serve::run;
pub use verify::{VerifyError, verify_checkpoint, verify_proof};
pub use wait::{WaitError, wait};
