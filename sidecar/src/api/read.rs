//! The reading half: `GET /v1/boboyka/status`, `/events`, `/records/{hash}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boboyka_crds::Phase;
use boboyka_store::{PageQuery, now_ms};
use boboyka_strand::{RecordType, Seq};

use super::cursor;
use super::error::ApiError;
use super::held;
use super::parameters::{Parameters, RecordHash};
use super::state::Api;
use super::unreadable;
use super::wire::{
    ClockJson, Event, EventCounts, Events, MissingJson, RecordView, Status, StrandStatus,
    lane_statuses,
};

const JSON: &str = "application/json";
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;
/// Length of the records of a page as `MessagePack`, unless its first record is longer.
const PAGE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The page's text for phase 1, and one as plain for the others and for a sidecar without Supabase.
const PHASE_DUAL_WRITE: &str = "Phase 1 — dual-write (SapixDB + Supabase)";
const PHASE_SAPIXDB_ONLY: &str = "Phase 1 — SapixDB only (Supabase not configured)";
const PHASE_MIGRATE: &str = "Phase 2 — migrate internals (SapixDB is the source of truth)";
const PHASE_CUT_OVER: &str = "Phase 3 — cut over (SapixDB only)";

/// How the integration stands.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let status = tokio::task::spawn_blocking(move || {
        let view = api.store.view();
        let phase = view.phase.map(|state| state.phase);
        Status {
            integration_phase: match phase.unwrap_or_default() {
                Phase::DualWrite if api.mirror.configured() => PHASE_DUAL_WRITE,
                Phase::DualWrite => PHASE_SAPIXDB_ONLY,
                Phase::MigrateInternals => PHASE_MIGRATE,
                Phase::CutOver => PHASE_CUT_OVER,
            },
            dual_write_enabled: api.mirror.enabled(&view),
            supabase_url: api.mirror.supabase_url(),
            event_counts: EventCounts(view.counts),
            total_events: view.counts.values().sum(),
            strand: StrandStatus::new(&api.store, &view),
            mirror: lane_statuses(api.mirror.lanes(&view)),
            retention: view.retention.into(),
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
    let unread = Arc::clone(&api.pages).acquire_owned().await;
    let made = Arc::clone(&api.pages_made).acquire_owned().await;
    let page = tokio::task::spawn_blocking(move || {
        let _made = made;
        events_page(&api, &asked)
    });
    let page = page.await.map_err(|_| ApiError::internal())?;
    let page = page.map_err(|_| ApiError::internal())?;
    Ok(held::answer(JSON, page, unread))
}

fn events_page(api: &Api, asked: &Asked) -> serde_json::Result<Vec<u8>> {
    let page = api.store.page(&asked.query);
    for missing in &page.missing {
        let (first, last, error) = (missing.first_seq, missing.last_seq, &missing.why);
        unreadable::log(&format!("seq {first} to {last}: {error}"));
    }
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
    })
}

/// What a reader of the events feed asked for.
struct Asked {
    query: PageQuery,
    with_data: bool,
    /// What a cursor must have been made for.
    filter: String,
}

impl Asked {
    fn parse(parameters: &Parameters) -> Result<Self, ApiError> {
        const KNOWN: [&str; 6] = [
            "limit",
            "record_type",
            "cursor",
            "since_ms",
            "until_ms",
            "include",
        ];
        parameters.only(&KNOWN)?;
        let get = |name: &str| parameters.get(name);
        let limit = get("limit").map_or(Ok(LIMIT_DEFAULT), |text| {
            let limit = text
                .parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit));
            limit.ok_or_else(|| ApiError::parameter("limit", "must be 1 to 1000"))
        })?;
        let record_type = get("record_type").map(|name| {
            let known: Result<RecordType, _> = name.parse();
            known.map_err(|error| ApiError::parameter("record_type", &error.to_string()))
        });
        let record_type = record_type.transpose()?;
        let time = |name: &str, default: u64| {
            get(name).map_or(Ok(default), |text| {
                milliseconds(text).ok_or_else(|| {
                    ApiError::parameter(name, "must be milliseconds since 1970, a whole number")
                })
            })
        };
        let (since_ms, until_ms) = (time("since_ms", 0)?, time("until_ms", u64::MAX)?);
        let with_data = match get("include") {
            None => false,
            Some("data") => true,
            Some(_) => return Err(ApiError::parameter("include", "can only be data")),
        };
        let filter = format!(
            "{}/{since_ms}/{until_ms}",
            record_type.map_or("", RecordType::name)
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
        })
    }
}

/// Milliseconds; also as `1747000000000.0`, which is how programs print a float.
fn milliseconds(text: &str) -> Option<u64> {
    let float = || text.parse::<f64>().ok();
    let whole = text.parse().ok();
    whole.or_else(|| float()?.to_string().parse().ok())
}

/// One record with its header.
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    RecordHash(hash): RecordHash,
) -> Result<Response, ApiError> {
    let found = tokio::task::spawn_blocking(move || -> Result<Response, ApiError> {
        let block = api.store.block_by_hash(&hash)?.ok_or_else(|| {
            let floor = api.store.view().floor.head.seq;
            let message = if floor == 0 {
                "this strand has no record with that hash".to_owned()
            } else {
                format!("this strand, which begins after seq {floor}, has no record with that hash")
            };
            ApiError::not_found(message).about("hash")
        })?;
        let outcome = api
            .mirror
            .outcome_now(block.header.record_type, block.header.seq);
        Ok(axum::Json(RecordView::new(&block, outcome)).into_response())
    });
    found.await.map_err(|_| ApiError::internal())?
}
