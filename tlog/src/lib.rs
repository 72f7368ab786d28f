//! Transparency logs in their public formats, which anybody's tools read: RFC 6962's Merkle tree over SHA-256, and C2SP's
//! tiles, signed notes, checkpoints, cosignatures, witnesses, proofs and policies.
//!
//! A **log** is a list of **entries** that only grows. Its **tree** gives each size one **root**; a **checkpoint** is a signed
//! size and root. An **inclusion proof** shows that an entry is in the tree of a checkpoint, a **consistency proof** that one
//! tree begins with another. A **witness** signs only checkpoints that are consistent with those it signed before.
//!
//! This crate does no I/O, reads no clock and knows no async. It knows nothing of strands: an entry is bytes.

mod base64;
pub mod bundle;
pub mod checkpoint;
mod cosignature;
mod decimal;
pub mod fuzzing;
pub mod hash;
pub mod hashes;
pub mod key;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tree;
pub mod witness;

pub use bundle::Bundle;
pub use checkpoint::Checkpoint;
pub use hash::TreeHash;
pub use key::{SigningKey, VerifierKey};
pub use note::Note;
pub use policy::Policy;
pub use tile::Tile;
pub use tree::CompactRange;
