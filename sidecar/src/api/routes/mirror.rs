//! Routes of the mirror to Supabase.

use crate::api::mirror::{self, MirrorStatus};
use crate::api::operation::Operation;
use crate::api::route::Routes;
use crate::api::shared_parameters::READING;
use crate::api::wire::{CheckJson, RepairJson, RetryJson};

/// Takes them.
pub(super) fn routes<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/boboyka/mirror", mirror::status, || {
            Operation::json::<MirrorStatus>("mirror", "How the copy to Supabase stands")
                .refuses(&READING)
        })
        .post("/v1/boboyka/mirror/retry", mirror::retry, || {
            Operation::json::<RetryJson>(
                "mirrorRetry",
                "Wakes lanes and sends their dead letters again",
            )
            .lane()
        })
        .post("/v1/boboyka/mirror/check", mirror::check, || {
            Operation::json::<CheckJson>("mirrorCheck", "Compares the tables with the strand now")
                .lane()
        })
        .post("/v1/boboyka/mirror/repair", mirror::repair, || {
            Operation::json::<RepairJson>("mirrorRepair", "Sends what differs again").lane()
        })
}
