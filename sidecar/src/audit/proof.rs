//! Checks a `.tlog-proof` of a record: header in `extra`, inclusion, signatures, and the record itself when it is there.

use std::fmt;

use boboyka_strand::{Header, HeaderError};
use boboyka_tlog::bundle::BundleError;
use boboyka_tlog::note::Signed;
use boboyka_tlog::policy::Rejection;
use boboyka_tlog::{Bundle, Checkpoint, Policy, TreeHash};

use super::evidence::{Evidence, EvidenceError};
use super::signers::Signers;

/// What a proof shows. As text it says so, and what it can't show.
#[derive(Clone, Debug)]
pub struct Proven {
    header: Header,
    checkpoint: Checkpoint,
    signed: Vec<Signed>,
    has_content: bool,
}

/// A proof that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofFault {
    /// No proof, or none of an inclusion in its checkpoint.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The proof does not carry the record's header.
    #[error("the proof has no extra line with the record's header")]
    NoHeader,
    /// What it carries is no header.
    #[error("the extra line: {0}")]
    Header(#[from] HeaderError),
    /// The header's seq is not that of the index.
    #[error("the header has seq {seq}, but index {index} is that of seq {}", index + 1)]
    Index {
        /// The header's.
        seq: u64,
        /// The proof's.
        index: u64,
    },
    /// Not signed by those whom the auditor trusts.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The record is another one.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
}

/// Checks the bytes of a `.tlog-proof`.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(
    bytes: &[u8],
    policy: &Policy,
    evidence: Option<Evidence<'_>>,
) -> Result<Proven, ProofFault> {
    let bundle = Bundle::from_bytes(bytes)?;
    let extra = bundle.extra.as_deref().ok_or(ProofFault::NoHeader)?;
    let header = Header::decode(extra)?;
    bundle.verify(TreeHash::of_leaf(extra))?;
    let (seq, index) = (header.seq, bundle.index);
    if seq.checked_sub(1) != Some(index) {
        return Err(ProofFault::Index { seq, index });
    }
    let (checkpoint, signed) = policy.verify(&bundle.checkpoint)?;
    if let Some(evidence) = evidence {
        evidence.check(&header)?;
    }
    let has_content = evidence.is_some();
    Ok(Proven {
        header,
        checkpoint,
        signed,
        has_content,
    })
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (header, checkpoint) = (&self.header, &self.checkpoint);
        let (hash, kind, seq) = (header.hash(), header.record_type, header.seq);
        let (origin, size) = (checkpoint.origin(), checkpoint.size());
        let signers = Signers(&self.signed);
        writeln!(
            f,
            "ok: record {hash} is seq {seq} of {size} in the log {origin}"
        )?;
        write!(f, "{signers}")?;
        writeln!(
            f,
            "proven: a record of type {kind} has this hash, place, parent and time in the signed log"
        )?;
        if self.has_content {
            writeln!(f, "proven: its content is the one given here, unaltered")?;
        } else {
            writeln!(
                f,
                "not checked: its content; give it with --record or --payload"
            )?;
        }
        writeln!(
            f,
            "not proven: that it is the newest of its key, or that what it says is true"
        )?;
        if signers.has_witness() {
            write!(
                f,
                "not proven: its time, but for the upper bound that the cosignatures give"
            )
        } else {
            write!(
                f,
                "not proven: its time, and that nobody is shown another log: no witness has cosigned it"
            )
        }
    }
}
