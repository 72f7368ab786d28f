//! How an archive stands.

use std::collections::BTreeMap;

use crate::fault::{Fault, Kind};

/// How an archive stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Everything up to here is there, as this process has seen; 0 before it has seen anything.
    pub seq: u64,
    /// Segments that are due and not known to be there.
    pub waiting: u64,
    /// When the first record of these was appended, in milliseconds since 1970.
    pub oldest_waiting_ms: Option<u64>,
    /// Segments that were uploaded since the start.
    pub uploaded: u64,
    /// Their bytes.
    pub uploaded_bytes: u64,
    /// When the last one was uploaded, in milliseconds since 1970.
    pub last_upload_ms: Option<u64>,
    /// Size of the checkpoint beside them.
    pub checkpoint: Option<u64>,
    /// Why it does not go on.
    pub fault: Option<Fault>,
    /// Failures since the start.
    pub failures: BTreeMap<Kind, u64>,
}
