//! What an answer leaves out because it can't be read.

use boboyka_store::Missing;
use boboyka_strand::Seq;
use schemars::JsonSchema;
use serde::Serialize;

/// Consecutive records that an answer passed and could not read.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Missing")]
pub(crate) struct MissingJson {
    first_seq: Seq,
    last_seq: Seq,
    why: String,
}

impl From<Missing> for MissingJson {
    fn from(missing: Missing) -> Self {
        Self {
            first_seq: missing.first_seq,
            last_seq: missing.last_seq,
            why: missing.why,
        }
    }
}
