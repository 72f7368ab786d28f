//! Its routes, each with what the contract says of it.

use axum::handler::Handler;
use axum::http::Method;
use serde_json::json;
use std::sync::Arc;

use super::delete::{self, DeletedJson, ListJson, RestoredJson};
use super::earlier::{self, QueryBody, ResultsJson, WrittenJson};
use super::events::StreamData;
use super::query::{self, Query, QueryAnswer};
use super::read::{self, HealthJson};
use super::wire::{RecordJson, RecordsJson, WriteBody, WriteJson};
use super::{absent, stream, walk, write};
use crate::api::error::Code;
use crate::api::operation::{Operation, events_of, json_of};
use crate::api::route::Routes;
use crate::api::shared_parameters::{READING, RECORD, WRITING, named, whole};
use crate::api::state::Api;

/// Methods that an absent thing may be asked with.
const METHODS: [(Method, &str); 5] = [
    (Method::GET, "Get"),
    (Method::POST, "Post"),
    (Method::PUT, "Put"),
    (Method::PATCH, "Patch"),
    (Method::DELETE, "Delete"),
];

/// Where a written record is.
const WRITTEN: &[(&str, &str)] = &[
    ("name", "$request.path.name"),
    ("hash", "$response.body#/content_hash"),
];
/// Where a deleted record is.
const DELETED: &[(&str, &str)] = &[
    ("name", "$request.path.name"),
    ("hash", "$response.body#/original_hash"),
];

impl Operation {
    /// The name of a type or collection in the path.
    fn name(self) -> Self {
        let says = "A record type, its table, or a collection of documents.";
        self.path("name", named("Collection"), says)
    }

    /// An agent in the path that means nothing.
    fn agent(self) -> Self {
        let says = "Means nothing here.";
        self.path("agent", json!({"type": "string", "minLength": 1}), says)
    }

    /// It reads many records for one answer.
    fn searches(self) -> Self {
        self.refuses(&[Code::ScanTooLong, Code::CatchingUp])
            .refuses(&[Code::NotFound, Code::Pruned, Code::Lost])
            .refuses(&READING)
    }

    /// It streams.
    fn streams(self) -> Self {
        let moment = named("Moment");
        let says = "Begins with the first record after this `timestamp_hlc`, or date.";
        self.answers(
            "the events, until the client closes the connection",
            [events_of::<StreamData<'_>>()],
        )
        .query("since", moment.clone(), says)
        .query(
            "filter",
            json!({"type": "string"}),
            "A field: only records that have it are sent.",
        )
        .header("Last-Event-ID", moment, "Counts more than `since`.")
        .refuses(&[Code::StreamBusy])
    }

    /// It walks.
    fn walks(self) -> Self {
        let says = "How many records come before.";
        self.limit(100).query("offset", whole(0), says).searches()
    }
}

/// Takes them.
pub(in crate::api) fn routes<R: Routes>(routes: R) -> R {
    missing(before(flat(streams(current(routes)))))
}

/// What the client of 0.2 and later calls.
fn current<R: Routes>(routes: R) -> R {
    let routes = routes
        .get("/v1/health", read::health, || {
            let summary = "Whether the sidecar takes records";
            Operation::json::<HealthJson>("health", summary)
                .open()
                .refuses(&[Code::StorePoisoned])
        })
        .post("/v1/agents/{name}/records/json", write::write, || {
            Operation::json::<WriteJson>("sapixdbWrite", "Appends one record")
                .says("A record of one of the four types is checked and mirrored as on ingest; the contract of `data` is there.")
                .name()
                .takes([json_of::<WriteBody<'_>>()])
                .idempotent()
                .leads_to("sapixdbGet", WRITTEN)
                .leads_to("sapixdbDelete", WRITTEN)
                .leads_to("sapixdbGetAny", &[("hash", "$response.body#/content_hash")])
                .refuses(&RECORD)
                .refuses(&WRITING)
        })
        .post("/v1/agents/{name}/query", query::of_agent, || {
            Operation::json::<QueryAnswer<'_>>("sapixdbQuery", "Records of a type or collection")
                .name()
                .takes([json_of::<Query>()])
                .searches()
        })
        .get("/v1/agents/{name}/strand/records", walk::of_agent, || {
            Operation::json::<RecordsJson<'_>>("sapixdbHistory", "Records of a type or collection, oldest first")
                .name()
                .walks()
        });
    records(routes)
}

fn records<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/agents/{name}/records/deleted", delete::list, || {
            let summary = "The newest records that were deleted and not restored";
            Operation::json::<ListJson<'_>>("sapixdbDeleted", summary)
                .name()
                .searches()
        })
        .get("/v1/agents/{name}/records/{hash}", read::record, || {
            Operation::json::<RecordJson<'_>>("sapixdbGet", "One record")
                .name()
                .hash_in_path()
        })
        .on(
            Method::DELETE,
            "/v1/agents/{name}/records/{hash}",
            delete::delete,
            || {
                Operation::json::<DeletedJson>(
                    "sapixdbDelete",
                    "Takes a record back; it stays in the chain",
                )
                .leads_to("sapixdbRestore", DELETED)
                .name()
                .hash_in_path()
                .refuses(&[Code::CatchingUp])
                .refuses(&WRITING)
            },
        )
        .post(
            "/v1/agents/{name}/records/{hash}/restore",
            delete::restore,
            || {
                Operation::json::<RestoredJson>("sapixdbRestore", "Writes a deleted record anew")
                    .name()
                    .hash_in_path()
                    .refuses(&[Code::NotDeleted, Code::CatchingUp])
                    .refuses(&WRITING)
            },
        )
}

fn streams<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/agents/{name}/stream", stream::of_agent, || {
            let summary =
                "Records of a type or collection as they are appended, as server-sent events";
            Operation::new("sapixdbSubscribe", summary).name().streams()
        })
        .get("/v1/stream", stream::of_agents, || {
            let says =
                "Names of types and collections, separated by commas; all if it is left out.";
            Operation::new(
                "sapixdbSubscribeAll",
                "Records as they are appended, as server-sent events",
            )
            .query("agents", json!({"type": "string"}), says)
            .streams()
        })
}

/// The same of the whole strand.
fn flat<R: Routes>(routes: R) -> R {
    routes
        .get("/v1/records/{hash}", read::any_record, || {
            Operation::json::<RecordJson<'_>>("sapixdbGetAny", "One record").hash_in_path()
        })
        .get("/v1/strand/records", walk::of_strand, || {
            let summary = "Every block of the strand, oldest first, tombstones too";
            Operation::json::<RecordsJson<'_>>("sapixdbWalk", summary).walks()
        })
        .post("/v1/query", query::of_strand, || {
            Operation::json::<QueryAnswer<'_>>("sapixdbQueryAll", "Records of the whole strand")
                .takes([json_of::<Query>()])
                .searches()
        })
}

/// What the client of 0.1 and that for Go call.
fn before<R: Routes>(routes: R) -> R {
    let write = |id: &'static str| {
        Operation::json::<WrittenJson<'_>>(id, "Appends one record, as clients of 0.1 do")
            .leads_to("earlierGet", &[("hash", "$response.body#/id")])
            .agent()
            .takes([json_of::<earlier::WriteBody<'_>>()])
            .refuses(&RECORD)
            .refuses(&WRITING)
    };
    routes
        .post("/v1/{agent}/strand/write", earlier::write, || {
            write("earlierWrite")
        })
        .post("/v1/{agent}/ingest", earlier::write, || {
            write("earlierIngest")
        })
        .post("/v1/{agent}/strand/query", earlier::query, || {
            Operation::json::<ResultsJson<'_>>(
                "earlierQuery",
                "Records of a collection, newest first",
            )
            .agent()
            .takes([json_of::<QueryBody>()])
            .searches()
        })
        .get("/v1/{agent}/strand/{hash}", earlier::record, || {
            Operation::json::<earlier::RecordJson<'_>>("earlierGet", "One record")
                .agent()
                .hash_in_path()
        })
}

/// What a sidecar does not have.
fn missing<R: Routes>(routes: R) -> R {
    let routes = refused(routes, "/v1/blobs", "blobs", &absent::blobs, |it| it);
    let routes = refused(routes, "/v1/blobs/{hash}", "blob", &absent::blobs, |it| {
        it.path("hash", json!({"type": "string", "minLength": 1}), "Any.")
    });
    let routes = refused(
        routes,
        "/v1/{agent}/graph/{*rest}",
        "graph",
        &absent::graph,
        |it| it.agent().rest(),
    );
    let routes = refused(
        routes,
        "/v1/admin/{*rest}",
        "admin",
        &absent::admin,
        Operation::rest,
    );
    refused(
        routes,
        "/v1/control/{*rest}",
        "control",
        &absent::control,
        Operation::rest,
    )
}

impl Operation {
    /// The rest of the path.
    fn rest(self) -> Self {
        self.path("rest", json!({"type": "string", "minLength": 1}), "Any.")
    }
}

/// A route that always answers with 501, whatever it is asked with.
fn refused<R, H, T>(
    routes: R,
    path: &'static str,
    id: &str,
    handler: &H,
    path_of: fn(Operation) -> Operation,
) -> R
where
    R: Routes,
    H: Handler<T, Arc<Api>>,
    T: 'static,
{
    METHODS.into_iter().fold(routes, |routes, (method, name)| {
        routes.on(method, path, handler.clone(), || {
            let absent = Operation::new(
                format!("{id}{name}"),
                "SapixDB has this, and a sidecar does not",
            );
            path_of(absent).refuses(&[Code::NotSupported])
        })
    })
}
