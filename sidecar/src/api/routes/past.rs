//! Routes that read the past.

use crate::api::error::Code;
use crate::api::operation::Operation;
use crate::api::past;
use crate::api::route::Routes;
use crate::api::wire::{CountsJson, HistoryJson, StateJson, StatesJson};

/// Takes them.
pub(super) fn routes<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/boboyka/counts", past::counts, || {
            Operation::json::<CountsJson>("counts", "Records of each type, pruned ones included").moment()
        })
        .get("/v1/boboyka/state/{record_type}", past::states, || {
            Operation::json::<StatesJson<'_>>("states", "Every key with its newest version")
                .says("The keys come in an order of no meaning. A page can be short, or empty, without being the last.")
                .keyed_type()
                .page()
                .include()
                .moment()
                .proof()
        })
        .get("/v1/boboyka/state/{record_type}/{key}", past::state, || {
            Operation::json::<StateJson<'_>>("state", "The newest version of a key")
                .key()
                .moment()
                .proof()
        })
        .get("/v1/boboyka/history/{record_type}/{key}", past::history, || {
            Operation::json::<HistoryJson<'_>>("history", "The versions of a key, newest first")
                .key()
                .page()
                .include()
                .moment()
                .proof()
                .refuses(&[Code::NotFound])
        })
}
