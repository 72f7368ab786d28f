//! Routes that read records and the state of the sidecar.

use serde_json::{Value, json};

use crate::api::error::Code;
use crate::api::last_hour::{self, LastHourJson};
use crate::api::openapi;
use crate::api::operation::{Operation, events_of, json_of, lines_of, text};
use crate::api::read;
use crate::api::record_types::{self, RecordTypes};
use crate::api::route::Routes;
use crate::api::shared_parameters::{READING, whole};
use crate::api::stream::{self, StreamData};
use crate::api::verify::{self, VerifyLine};
use crate::api::wire::{Events, Greeting, RecordView, Status};

/// Takes them.
pub(super) fn routes<R: Routes>(routes: R) -> R {
    state(records(routes))
}

fn records<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/boboyka/events", read::events, || {
            Operation::json::<Events<'_>>("events", "Records, newest first")
                .says("Following `next_cursor` returns each record once, even while new records arrive.")
                .page()
                .of_type()
                .query("since_ms", whole(0), "Only records appended then or later.")
                .query("until_ms", whole(0), "Only records appended then or before.")
                .include()
                .moment()
        })
        .get("/v1/boboyka/records/{hash}", read::record, || {
            let summary = "One record with every header field that its hash covers";
            Operation::json::<RecordView<'_>>("record", summary).record_in_path()
        })
        .get("/v1/boboyka/stream", stream::stream, || {
            Operation::new("stream", "Records as they are appended, oldest first, as server-sent events")
                .says(
                    "The events are `record`, `missing` and `end`, which is the last. The id of an event is its `seq`. A \
                     silent stream sends a comment every 15 s.",
                )
                .answers("the events, until the client closes the connection", [events_of::<StreamData<'_>>()])
                .query("after", whole(0), "Begins after this `seq`; 0 is the whole strand; default the head.")
                .of_type()
                .include()
                .header("Last-Event-ID", whole(0), "Begins after this `seq`; counts more than `after`.")
                .refuses(&[Code::StreamBusy])
        })
        .get("/v1/boboyka/verify", verify::verify, || {
            Operation::new("verify", "Computes every hash of the strand again")
                .answers("lines of progress, and the verdict in the last", [lines_of::<VerifyLine>()])
                .refuses(&[Code::VerifyBusy])
        })
}

fn state<R: Routes>(routes: R) -> R {
    routes
        .get("/", read::front, || {
            Operation::new(
                "front",
                "What answers here: the panel for a browser, a line for a program",
            )
            .answers(
                "the panel, or the name and version",
                [json_of::<Greeting>(), text("text/html; charset=utf-8")],
            )
            .open()
        })
        .get("/panel/{file}", read::panel_file, || {
            Operation::new("panelFile", "A file of the panel")
                .path(
                    "file",
                    json!({"type": "string", "minLength": 1}),
                    "Its name.",
                )
                .answers(
                    "the file",
                    [
                        "text/html; charset=utf-8",
                        "text/css; charset=utf-8",
                        "text/javascript; charset=utf-8",
                        "image/svg+xml",
                    ]
                    .map(text),
                )
                .open()
                .refuses(&[Code::NotFound])
        })
        .get("/openapi.json", openapi::serve, || {
            Operation::new("contract", "This document")
                .answers("the document", [json_of::<Value>()])
        })
        .get("/v1/boboyka/status", read::status, || {
            Operation::json::<Status>("status", "How the integration stands").refuses(&READING)
        })
        .get("/v1/boboyka/last-hour", last_hour::last_hour, || {
            Operation::json::<LastHourJson>("lastHour", "Figures of the last hour, for charts")
        })
        .get(
            "/v1/boboyka/record-types",
            record_types::record_types,
            || Operation::json::<RecordTypes>("recordTypes", "The record table"),
        )
}
