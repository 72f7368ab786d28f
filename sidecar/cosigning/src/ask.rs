//! Asking one witness for one checkpoint: at most three requests.

use boboyka_tlog::note::Signature;
use boboyka_tlog::witness::{AddCheckpoint, Answer};
use boboyka_tlog::{Checkpoint, Note, VerifierKey};

use crate::client::Client;
use crate::log::Log;

/// Requests to a witness for one checkpoint: it may say its size, and another copy of the log may come between.
const REQUESTS_MAX: usize = 3;

/// Why a witness did not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It could not be reached, or answered what is no answer.
    #[error("{0}")]
    Failed(String),
    /// The log can't show it the way from the size that it cosigned last.
    #[error("no consistency proof from size {old}, which it cosigned last: {why}")]
    Unproven {
        /// The size.
        old: u64,
        /// Why there is no proof.
        why: String,
    },
    /// It has cosigned a larger tree of this log than there is here: this log lost its end, or another copy of it goes on.
    #[error(
        "it has cosigned size {last} of this log, which has {size} entries here: the log went back, or a copy of it goes on elsewhere"
    )]
    Ahead {
        /// What it cosigned last.
        last: u64,
        /// What the log has here.
        size: u64,
    },
    /// It holds that the log does not begin with the tree it cosigned last: the log was forked or rewritten.
    #[error("it refuses the log as inconsistent with size {old}, which it cosigned: {why}")]
    Inconsistent {
        /// What it cosigned last.
        old: u64,
        /// What it says.
        why: String,
    },
}

impl Fault {
    /// Whether it shows that the log is not the one that was cosigned; else it passes by itself.
    pub const fn is_of_log(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Inconsistent { .. })
    }
}

/// A witness, and what it cosigned last as far as is known.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    pub(crate) key: VerifierKey,
    pub(crate) prefix: String,
    /// The log that `last` is of: the next incarnation begins with nothing.
    pub(crate) origin: String,
    pub(crate) last: u64,
}

/// Asks a witness to cosign a checkpoint: the cosignature, which holds.
pub(crate) async fn ask<L: Log>(
    client: &Client,
    log: &L,
    witness: &mut Witness,
    note: &Note,
    checkpoint: &Checkpoint,
) -> Result<Signature, Fault> {
    let size = checkpoint.size();
    if witness.origin != checkpoint.origin() {
        checkpoint.origin().clone_into(&mut witness.origin);
        witness.last = 0;
    }
    for _ in 0..REQUESTS_MAX {
        let old = witness.last;
        let proof = log.consistency(old, size).await;
        let proof = proof.map_err(|why| Fault::Unproven { old, why })?;
        let checkpoint = note.clone();
        let request = AddCheckpoint {
            old,
            proof,
            checkpoint,
        };
        let answer = client.add_checkpoint(&witness.prefix, &request).await;
        match answer.map_err(Fault::Failed)? {
            Answer::Cosigned(signatures) => {
                let signature = own(&witness.key, note.text(), signatures)?;
                witness.last = size;
                return Ok(signature);
            }
            Answer::LastSize(last) if last > size => return Err(Fault::Ahead { last, size }),
            Answer::LastSize(last) => witness.last = last,
            Answer::Inconsistent(why) => return Err(Fault::Inconsistent { old, why }),
            Answer::Other(why) => return Err(Fault::Failed(why)),
        }
    }
    let why = "it says another size each time: somebody else has it cosign this log";
    Err(Fault::Failed(why.to_owned()))
}

/// The signature of the witness among those that it sent.
fn own(key: &VerifierKey, text: &str, signatures: Vec<Signature>) -> Result<Signature, Fault> {
    let found = signatures.into_iter().find(|one| one.claims(key));
    let found = found.filter(|one| key.verify(text, &one.bytes).is_ok());
    found.ok_or_else(|| Fault::Failed(format!("its answer has no good signature of {key}")))
}
