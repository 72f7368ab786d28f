//! What an auditor checks without a running sidecar: pure: bytes in, a finding or a fault out.

pub mod checkpoint;
pub mod evidence;
pub mod proof;
pub(crate) mod signers;
