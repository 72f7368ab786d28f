//! The records that a strand makes of itself.

use boboyka_strand::record::{OWN_AGENT, text_field};
use boboyka_strand::{Block, PayloadJson, RecordType};
use serde_json::Value;

/// Whether the strand made a record of itself.
pub(crate) fn is_own(block: &Block) -> bool {
    block.header.record_type == RecordType::AuditLog
        && text_field(&block.payload, "agent_id") == Some(OWN_AGENT)
}

/// What a block says, if it is the strand's own record of this event.
pub(crate) fn data_of(block: &Block, event: &str) -> Option<Value> {
    let is_record = is_own(block) && text_field(&block.payload, "event") == Some(event);
    is_record
        .then(|| serde_json::to_value(PayloadJson(&block.payload)).ok())
        .flatten()
}
