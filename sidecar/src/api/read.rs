//! The reading half: `GET /v1/boboyka/status`, `/events`, `/records/{hash}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use boboyka_store::{PageQuery, RecordName, now_ms};
use boboyka_strand::{Head, RecordType, Seq};

use super::cursor;
use super::error::ApiError;
use super::gone::with_payload;
use super::moment;
use super::paged;
use super::parameters::{self, NamedRecord, PAGE_MAX_BYTES, Parameters};
use super::state::Api;
use super::unreadable;
use super::wire::{
    ArchiveJson, ClockJson, Event, EventCounts, Events, Greeting, LogStatus, MissingJson,
    RecordView, Status, StrandStatus, lane_statuses, phase_text,
};
use crate::panel;

/// What this is, for whoever finds the port: the panel for a browser, and a line for a program.
pub(super) async fn front(headers: HeaderMap) -> Result<Response, ApiError> {
    let kinds = headers.get_all(header::ACCEPT).iter();
    let is_browser = kinds.filter_map(|kinds| kinds.to_str().ok());
    let mut response = if { is_browser }.any(|kinds| kinds.contains("text/html")) {
        panel::file(panel::PAGE).ok_or_else(ApiError::internal)?
    } else {
        let (name, version) = ("boboyka-sidecar", env!("CARGO_PKG_VERSION"));
        axum::Json(Greeting { name, version }).into_response()
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

/// A file of the panel.
pub(super) async fn panel_file(Path(name): Path<String>) -> Result<Response, ApiError> {
    let file = panel::file(&name);
    file.ok_or_else(|| ApiError::not_found(format!("the panel has no file {name}")).about("file"))
}

/// How the integration stands.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let status = tokio::task::spawn_blocking(move || {
        let view = api.store.view();
        let phase = view.phase.map(|state| state.phase);
        let has_supabase = api.mirror.configured();
        let legacy = view.phase.and_then(|state| state.legacy);
        let legacy = legacy.filter(|_| has_supabase);
        let legacy_projects = legacy.map_or(0, |legacy| legacy.projects);
        Status {
            integration_phase: phase_text(
                phase.unwrap_or_default(),
                has_supabase,
                legacy_projects > 0,
            ),
            dual_write_enabled: api.mirror.enabled(&view),
            legacy_projects,
            unmirrored: RecordType::MIRRORED
                .into_iter()
                .map(|lane| view.unmirrored(lane))
                .sum(),
            unmirrored_bytes: api.store.unmirrored_bytes(),
            supabase_url: api.mirror.supabase_url(),
            event_counts: EventCounts(view.counts),
            total_events: view.counts.values().sum(),
            strand: StrandStatus::new(&api.store, &view),
            log: LogStatus::new(api.store.tlog_status(), &api.cosigned.borrow()),
            mirror: lane_statuses(api.mirror.lanes(&view)),
            retention: view.retention.into(),
            archive: api.archived.now().as_ref().map(ArchiveJson::of),
            clock: ClockJson {
                ahead_ms: view.ahead_ms(now_ms()),
            },
            integration: api.standing.as_ref().map(|it| (&**it.borrow()).into()),
            version: env!("CARGO_PKG_VERSION"),
        }
    });
    let status = status.await.map_err(|_| ApiError::internal())?;
    Ok(axum::Json(status).into_response())
}

/// A page of records, newest first.
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let asked = Asked::parse(&parameters)?;
    let as_of = moment::asked(&parameters)?;
    paged::answer(api, move |api| {
        let asked = asked.at(&api.store.moment(as_of)?);
        events_page(api, &asked).map_err(|_| ApiError::internal())
    })
    .await
}

fn events_page(api: &Api, asked: &Asked) -> serde_json::Result<Vec<u8>> {
    let page = api.store.page(&asked.query);
    unreadable::log_missing(&page.missing);
    let next = page.next_before;
    let next_cursor = next.map(|before| cursor::encode(before, &asked.filter));
    let events = page
        .blocks
        .iter()
        .map(|block| {
            let outcome = api
                .mirror
                .outcome_now(block.header.record_type, block.header.seq);
            Event::new(block, outcome, asked.with_data)
        })
        .collect();
    serde_json::to_vec(&Events {
        events,
        next_cursor,
        missing: page.missing.into_iter().map(MissingJson::from).collect(),
        head: (&asked.head).into(),
    })
}

/// What a reader of the events feed asked for.
struct Asked {
    query: PageQuery,
    with_data: bool,
    /// What a cursor must have been made for.
    filter: String,
    /// The head at which the answer is computed.
    head: Head,
}

impl Asked {
    fn parse(parameters: &Parameters) -> Result<Self, ApiError> {
        const KNOWN: [&str; 7] = [
            "limit",
            "record_type",
            "cursor",
            "since_ms",
            "until_ms",
            "include",
            moment::AS_OF,
        ];
        parameters.only(&KNOWN)?;
        let get = |name: &str| parameters.get(name);
        let limit = parameters.limit()?;
        let record_type = parameters.record_type()?;
        let time = |name: &str, default: u64| {
            get(name).map_or(Ok(default), |text| {
                parameters::milliseconds(text).ok_or_else(|| {
                    ApiError::parameter(name, "must be milliseconds since 1970, a whole number")
                })
            })
        };
        let (since_ms, until_ms) = (time("since_ms", 0)?, time("until_ms", u64::MAX)?);
        let with_data = parameters.with_data()?;
        let filter = format!(
            "{}/{since_ms}/{until_ms}{}",
            record_type.map_or("", RecordType::name),
            get(moment::AS_OF).map_or_else(String::new, |as_of| format!("/{as_of}")),
        );
        let before = get("cursor").map_or(Ok(Seq::MAX), |text| {
            cursor::decode(text, &filter).ok_or_else(|| {
                ApiError::parameter("cursor", "is not one that this feed gave for these filters")
            })
        })?;
        let query = PageQuery {
            record_type,
            before,
            since_ms,
            until_ms,
            limit,
            payloads: with_data,
            max_payload_bytes: PAGE_MAX_BYTES,
        };
        Ok(Self {
            query,
            with_data,
            filter,
            head: Head::EMPTY,
        })
    }

    /// The same as of a head: nothing above it.
    fn at(mut self, head: &Head) -> Self {
        self.query.before = self.query.before.min(head.seq + 1);
        self.head = *head;
        self
    }
}

/// One record with its header.
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    NamedRecord(name): NamedRecord,
) -> Result<Response, ApiError> {
    let found = tokio::task::spawn_blocking(move || -> Result<Response, ApiError> {
        let block = api.store.record(&name)?;
        let block = block.ok_or_else(|| no_record(&api, name))?;
        let block = with_payload(&api, block)?;
        let outcome = api
            .mirror
            .outcome_now(block.header.record_type, block.header.seq);
        Ok(axum::Json(RecordView::new(&block, outcome)).into_response())
    });
    found.await.map_err(|_| ApiError::internal())?
}

/// The strand has no record of this name.
pub(super) fn no_record(api: &Api, name: RecordName) -> ApiError {
    let view = api.store.view();
    let message = match (name, view.floor.head.seq) {
        (RecordName::Seq(_), _) => {
            let head = view.head.seq;
            format!("this strand has no record with that seq; its newest is {head}")
        }
        (RecordName::Hash(_), 0) => "this strand has no record with that hash".to_owned(),
        (RecordName::Hash(_), floor) => {
            format!("this strand, which begins after seq {floor}, has no record with that hash")
        }
    };
    ApiError::not_found(message).about("hash")
}
