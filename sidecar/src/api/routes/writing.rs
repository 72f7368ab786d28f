//! Routes that write records.

use crate::api::error::Code;
use crate::api::ingest::{self, Answer};
use crate::api::operation::{Operation, json_of, lines_of};
use crate::api::route::Routes;
use crate::api::schema::Posted;
use crate::api::shared_parameters::{RECORD, WRITING};
use crate::api::wire::Receipt;

/// Takes them.
pub(super) fn routes<R: Routes>(routes: R) -> R {
    routes
        .post("/v1/boboyka/ingest", ingest::ingest, || {
            Operation::json::<Receipt>("ingest", "Appends one record")
                .says("Answers after the record is durable. A record has at most 1 MiB as MessagePack.")
                .takes([json_of::<Posted>()])
                .idempotent()
                .leads_to("record", &[("hash", "$response.body#/record_hash")])
                .leads_to("proof", &[("hash", "$response.body#/record_hash")])
                .refuses(&RECORD)
                .refuses(&[Code::UnknownRecordType])
                .refuses(&WRITING)
        })
        .post("/v1/boboyka/ingest/batch", ingest::batch, || {
            let forms = || [json_of::<Vec<Answer>>(), lines_of::<Answer>()];
            Operation::new("ingestBatch", "Appends many records in one request")
                .says(
                    "At most 10,000 records and 16 MiB. The answer has a receipt or an error for each record, in the same \
                     order and form as the request. With the header `Idempotency-Key`, the batch is one unit.",
                )
                .takes([json_of::<Vec<Posted>>(), lines_of::<Posted>()])
                .answers("every record was accepted", forms())
                .answers_with(207, "some records were not accepted", forms())
                .idempotent()
                .refuses(&WRITING)
        })
}
