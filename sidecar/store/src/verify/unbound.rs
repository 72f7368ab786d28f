//! Whether the strand says of every payload that is gone that it went.

use boboyka_strand::{RecordType, Seq};

use crate::forward::{self, ForwardQuery};
use crate::shared::Shared;
use crate::strip::Bindings;

/// Records that are looked through at a time for one of a stripping.
const RECORDS_MAX: usize = 1000;

/// And how much of payloads is in memory.
const BYTES_MAX: usize = 1024 * 1024;

/// A segment that lost payloads of which no record says so. A segment that was stripped since the check began has its record
/// behind what was checked.
pub(super) fn unbound(
    shared: &Shared,
    mut bindings: Bindings,
    checked_to: Seq,
) -> Option<(Seq, String)> {
    let mut after = checked_to;
    while bindings.unbound_after(0).is_some() {
        let step = forward::forward(
            shared,
            &ForwardQuery {
                after,
                record_type: Some(RecordType::AuditLog),
                limit: RECORDS_MAX,
                max_payload_bytes: BYTES_MAX,
                max_read: RECORDS_MAX,
            },
        );
        bindings.take(&step.blocks);
        if step.is_at_head {
            break;
        }
        after = step.reached;
    }
    // What was pruned meanwhile need not hold any more.
    let seq = bindings.unbound_after(shared.state().floor().head.seq)?;
    let why = format!(
        "the chain holds, but payloads from seq {seq} on are gone, and the strand has no record of that: something else \
         than retention removed them"
    );
    Some((seq, why))
}
