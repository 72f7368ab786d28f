//! The pure core of a strand: the append-only, hash-linked chain of one sidecar.
//!
//! A **record** is what a caller sends; a **block** is a record with its place: seq, the hash of the
//! block before it, a time, a payload. The invariant, which [`chain`] checks and everything else keeps:
//! a block's header names the hash of the header before it, seqs rise by one, times rise, and the
//! payload is the one whose hash the header carries. So a hash stands for a block and all before it.
//!
//! This crate does no I/O, reads no clock and knows no async: times and entropy are arguments. `docs/strand-format.md`
//! has the byte layout, well enough to write a verifier in another language.

pub mod block;
pub mod chain;
pub mod hash;
pub mod hlc;
pub mod record;
pub mod record_id;
pub mod record_type;
pub mod retention;
pub mod run;

pub use block::{Block, Flags, Header, HeaderError, Seq};
pub use chain::{Break, ChainError, Head};
pub use hash::Hash;
pub use hlc::Hlc;
pub use record::{CallerJson, PayloadJson, Record, RecordError, key_of, project_of};
pub use record_type::{Field, FieldKind, PerType, RecordType};
