//! Routes of the transparency log, in its public formats.

use serde_json::json;

use crate::api::error::Code;
use crate::api::operation::{Content, Operation, bytes, text};
use crate::api::route::Routes;
use crate::api::shared_parameters::{READING, whole};
use crate::api::tlog::{self, Consistency};

/// Every text form of the log.
fn plain() -> [Content; 1] {
    [text("text/plain; charset=utf-8")]
}

/// Takes them.
pub(super) fn routes<R: Routes>(routes: R) -> R {
    let routes = texts(routes);
    routes
        .get("/v1/boboyka/log/consistency", tlog::consistency, || {
            let summary = "The proof that the tree of one size begins with that of another";
            Operation::json::<Consistency>("logConsistency", summary)
                .query("from", whole(0), "The smaller size.")
                .query("to", whole(0), "The larger size, at most that of the newest checkpoint.")
                .all_needed()
                .refuses(&[Code::LogUnavailable, Code::NotFound, Code::Pruned])
                .refuses(&READING)
        })
        .get("/v1/boboyka/log/tile/{*tile}", tlog::tile, || {
            let path = json!({
                "type": "string",
                "pattern": "^([0-7]|entries)/(x(00[1-9]|0[1-9][0-9]|[1-9][0-9]{2})/(x[0-9]{3}/){0,4})?[0-9]{3}(\\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$",
            });
            Operation::new("logTile", "The hashes of a tile, or the entries of 256 records")
                .says("The slashes of `tile` are parts of the path, and not percent-encoded.")
                .path("tile", path, "`LEVEL/INDEX` or `entries/INDEX`, with `.p/WIDTH` for a partial one, as C2SP's tlog-tiles has them.")
                .answers("the tile", [bytes()])
                .refuses(&[Code::LogUnavailable, Code::NotFound])
                .refuses(&READING)
        })
        .get("/v1/boboyka/proof/{hash}", tlog::proof, || {
            Operation::new("proof", "The proof that a record is in the log: a `.tlog-proof` file")
                .answers("the proof", plain())
                .record_in_path()
                .query(
                    "cosigned",
                    json!({"type": "string", "enum": ["true", "false"], "default": "false"}),
                    "Under the newest checkpoint that a witness has cosigned.",
                )
                .refuses(&[Code::LogUnavailable])
        })
}

fn texts<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/boboyka/log/checkpoint", tlog::checkpoint, || {
            Operation::new("logCheckpoint", "The newest signed checkpoint")
                .answers("a signed note", plain())
                .refuses(&[Code::LogUnavailable])
        })
        .get("/v1/boboyka/log/cosigned", tlog::cosigned, || {
            Operation::new(
                "logCosigned",
                "The newest checkpoint that a witness has cosigned",
            )
            .answers("a signed note with cosignatures", plain())
            .refuses(&[Code::NotFound])
        })
        .get("/v1/boboyka/log/vkey", tlog::vkey, || {
            Operation::new("logVkey", "The verifier key of the log")
                .answers("a line with the key", plain())
                .refuses(&[Code::LogUnavailable])
        })
}
