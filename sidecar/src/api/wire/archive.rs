//! The archive in JSON: how it stands.

use boboyka_archive::{Fault, Kind};
use boboyka_strand::Seq;
use schemars::JsonSchema;
use serde::Serialize;

use crate::archive::Archived;

/// How the archive stands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Archive")]
pub(crate) struct ArchiveJson {
    /// Empty while that of the integration can't be read.
    url: String,
    after_ms: u64,
    /// The archive holds every record up to here, as this process has seen; 0 before it has seen anything.
    archived_seq: Seq,
    /// Segments that are due and not known to be there.
    waiting_segments: u64,
    oldest_waiting_ms: Option<u64>,
    /// Since the start.
    uploaded_segments: u64,
    uploaded_bytes: u64,
    last_upload_ms: Option<u64>,
    /// Size of the newest checkpoint beside the segments.
    checkpoint_size: Option<u64>,
    /// Why it does not go on.
    error: Option<FaultJson>,
}

/// Why the archive does not go on.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ArchiveError")]
struct FaultJson {
    #[schemars(extend("enum" = Kind::ALL.map(Kind::name)))]
    code: &'static str,
    message: String,
}

impl ArchiveJson {
    pub(crate) fn of(archived: &Archived) -> Self {
        let status = archived.status.borrow();
        Self {
            url: archived.url(),
            after_ms: u64::try_from(archived.after.as_millis()).unwrap_or(u64::MAX),
            archived_seq: status.seq,
            waiting_segments: status.waiting,
            oldest_waiting_ms: status.oldest_waiting_ms,
            uploaded_segments: status.uploaded,
            uploaded_bytes: status.uploaded_bytes,
            last_upload_ms: status.last_upload_ms,
            checkpoint_size: status.checkpoint,
            error: status.fault.as_ref().map(FaultJson::of),
        }
    }
}

impl FaultJson {
    fn of(fault: &Fault) -> Self {
        Self {
            code: fault.kind.name(),
            message: fault.to_string(),
        }
    }
}
