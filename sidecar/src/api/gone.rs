//! What is left of a record whose payload retention removed: its header, and the proof that it is in the log.

use boboyka_store::RecordName;
use boboyka_strand::Block;
use serde_json::{Value, json};

use super::error::ApiError;
use super::state::Api;
use super::wire::HeaderView;

/// The block, if it has its payload. Blocking.
///
/// # Errors
/// The payload is gone: the answer has the header, and the `.tlog-proof` as far as there is a log.
pub(super) fn with_payload(api: &Api, block: Block) -> Result<Block, ApiError> {
    if !block.is_gone() {
        return Ok(block);
    }
    let (kind, seq) = (block.header.record_type, block.header.seq);
    let outcome = api.mirror.outcome_now(kind, seq);
    let mut record = json!(HeaderView::new(&block, outcome));
    let proof = api.store.prove(&RecordName::Seq(seq)).ok().flatten();
    if let (Value::Object(record), Some(proof)) = (&mut record, proof) {
        record.insert("proof".to_owned(), proof.bundle.to_string().into());
    }
    Err(ApiError::payload_gone(kind, seq, record))
}
