//! Streams of records as they are written. A stream reads the strand like any other reader, so what it sends is durable,
//! in order and complete, however slowly it is read.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use boboyka_store::Missing;
use boboyka_strand::{Block, Hlc, RecordType, Seq};

use super::events::{HEARTBEAT, put, put_missing};
use super::moment::Moment;
use super::scope::{Named, Scope};
use crate::api::error::ApiError;
use crate::api::headers;
use crate::api::parameters::Parameters;
use crate::api::state::Api;
use crate::api::stream::{self, Dialect};

/// Comes at once, so that the reader knows that the stream stands.
const OPENED: &str = ": open\n\n";

/// The records of an agent.
pub(super) async fn of_agent(
    State(api): State<Arc<Api>>,
    Named(scope): Named,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    parameters.only(&["since", "filter"])?;
    begin(api, vec![scope], &parameters, &headers)
}

/// The records of some agents, or of all.
pub(super) async fn of_agents(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    parameters.only(&["agents", "since", "filter"])?;
    let names = parameters.get("agents").unwrap_or_default().split(',');
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    let scopes: Result<Vec<Scope>, _> = names.map(Scope::checked).collect();
    let mut scopes = scopes?;
    if scopes.is_empty() {
        scopes.push(Scope::All);
    }
    begin(api, scopes, &parameters, &headers)
}

fn begin(
    api: Arc<Api>,
    scopes: Vec<Scope>,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let since = since(parameters, headers)?;
    let after = match since {
        Some(since) => api.store.place_before(since),
        None => api.store.view().head.seq,
    };
    let following = Following {
        since: since.unwrap_or(Hlc::ZERO),
        record_type: only_type(&scopes),
        scopes,
        filter: parameters.get("filter").map(ToOwned::to_owned),
    };
    stream::answer(api, following, after)
}

/// The time after which the reader wants to go on: a reader that comes back names the last event that it got.
fn since(parameters: &Parameters, headers: &HeaderMap) -> Result<Option<Hlc>, ApiError> {
    let last = headers::single(headers, "Last-Event-ID")?;
    let parse = |name: &str, text: Option<&str>| {
        let moment = text.filter(|text| !text.is_empty()).map(|text| {
            Moment::parse(text).ok_or_else(|| {
                let must =
                    "must be the timestamp_hlc of a record, or a date and time as in RFC 3339";
                ApiError::parameter(name, must)
            })
        });
        moment.transpose()
    };
    let last = parse("Last-Event-ID", last)?;
    let since = parse("since", parameters.get("since"))?;
    Ok(last.or(since).map(|Moment(hlc)| hlc))
}

/// The type of all that the scopes hold, if it is one. Tombstones of the other types are documents.
fn only_type(scopes: &[Scope]) -> Option<RecordType> {
    let all_documents = scopes
        .iter()
        .all(|scope| matches!(scope, Scope::Collection(_)));
    all_documents.then_some(RecordType::Document)
}

/// What the reader asked for.
struct Following {
    /// Only blocks after this time.
    since: Hlc,
    scopes: Vec<Scope>,
    record_type: Option<RecordType>,
    /// A field that a record must have.
    filter: Option<String>,
}

impl Dialect for Following {
    /// The connection's own limit holds.
    const TAKE_LIMIT: Option<Duration> = None;

    fn record_type(&self) -> Option<RecordType> {
        self.record_type
    }

    fn beginning(&self, _: Seq) -> Vec<u8> {
        OPENED.into()
    }

    fn heartbeat(&self, _: Seq) -> Vec<u8> {
        HEARTBEAT.into()
    }

    fn block(&self, _: &Api, block: &Block, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let is_new = block.header.timestamp_hlc > self.since;
        if is_new && self.scopes.iter().any(|scope| scope.holds(block)) {
            put(block, self.filter.as_deref(), text)?;
        }
        Ok(())
    }

    fn missing(&self, missing: Missing, text: &mut Vec<u8>) -> serde_json::Result<()> {
        put_missing(&missing, text)
    }

    /// The client knows no event for it.
    fn end(&self, _: &ApiError) -> Option<Vec<u8>> {
        None
    }
}
