//! `POST /v1/boboyka/ingest` and `/ingest/batch`: check, append, wait for the mirror, answer.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use boboyka_otlp::Traceparent;
use boboyka_store::{Appended, IdempotencyKey, KEY_MAX_BYTES, KeyConflict, NewRecord};
use boboyka_strand::{Record, RecordType};
use schemars::JsonSchema;
use serde::Serialize;

use super::body::{self, Media};
use super::error::{ApiError, Code};
use super::headers;
use super::held;
use super::splitter::{Format, Splitter};
use super::state::Api;
use super::wire::{IngestRequest, Receipt};

/// The longest body of one record: its JSON may be longer than its `MessagePack`, escapes most of all.
pub(super) const INGEST_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The longest body of a batch.
const BATCH_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most records of a batch.
const BATCH_MAX_RECORDS: usize = 10_000;

const KEY_HEADER: &str = "Idempotency-Key";
const NDJSON: &str = "application/x-ndjson";

/// Takes one record.
pub(super) async fn ingest(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, content) = request.into_parts();
    if body::media(&parts.headers)? != Some(Media::Json) {
        return Err(body::unsupported("application/json"));
    }
    let header_key = header_key(&parts.headers)?;
    let mut body = api.bodies.incoming(content, INGEST_MAX_BYTES);
    let text = body.read().await?;
    let Posted { record, key } = parse(&text)?;
    check_same_key(header_key, key.as_deref())?;
    let key = header_key.or(key.as_deref()).map(IdempotencyKey::new);
    let mut answers = api.append(vec![NewRecord { record, key }]).await?;
    let appended = answers.pop().ok_or_else(ApiError::internal)??;
    let outcome = api.outcome(appended.record_type, appended.seq).await;
    let receipt = Receipt::new(&appended, outcome.into());
    let receipt = receipt.of_trace(api.traces.of(&parts.headers));
    let mut response = axum::Json(receipt).into_response();
    if appended.replayed {
        say_replayed(&mut response);
    }
    Ok(response)
}

/// Takes many records, each answered by itself, in order. They are checked as they arrive, but none is
/// appended before the last has: a body that is cut short writes nothing. With a key in the header,
/// the valid records are one unit.
pub(super) async fn batch(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, content) = request.into_parts();
    let format = match body::media(&parts.headers)? {
        Some(Media::JsonLines) => Format::Lines,
        Some(Media::Json) => Format::Array,
        None => {
            return Err(body::unsupported(
                "application/json or application/x-ndjson",
            ));
        }
    };
    let unit = header_key(&parts.headers)?;
    let mut body = api.bodies.incoming(content, BATCH_MAX_BYTES);
    let mut lines = Vec::new();
    let mut splitter = Splitter::new(format);
    while let Some(part) = body.next().await? {
        splitter.push(&part, |text| take(&mut lines, text, unit))?;
    }
    splitter.finish(|text| take(&mut lines, text, unit))?;
    let appended = append_all(&api, &mut lines, unit).await?;
    let replayed = !appended.is_empty() && appended.iter().all(is_replayed);
    let trace = api.traces.of(&parts.headers);
    let answers = answers(&api, lines, appended, trace)?;
    let mut response = answer_batch(&answers, format, body.into_held())?;
    if replayed && unit.is_some() {
        say_replayed(&mut response);
    }
    Ok(response)
}

/// A line of a batch: its record until it is appended, or the error in it.
type Line = Result<Option<NewRecord>, ApiError>;

fn take(lines: &mut Vec<Line>, text: &[u8], unit: Option<&str>) -> Result<(), ApiError> {
    if lines.len() == BATCH_MAX_RECORDS {
        let message = format!("a batch has at most {BATCH_MAX_RECORDS} records");
        return Err(ApiError::too_large(message));
    }
    lines.push(match parse(text) {
        Ok(Posted { record, key }) => {
            check_same_key(unit, key.as_deref())?;
            let key = key.as_deref().map(IdempotencyKey::new);
            Ok(Some(NewRecord { record, key }))
        }
        Err(error) => Err(error),
    });
    Ok(())
}

type AppendAnswer = Result<Appended, KeyConflict>;

/// Appends the valid records, and waits for their lanes.
///
/// # Errors
/// Nothing was appended: the store failed, or the shared key was used with other content.
async fn append_all(
    api: &Api,
    lines: &mut [Line],
    unit: Option<&str>,
) -> Result<Vec<AppendAnswer>, ApiError> {
    let good = lines.iter_mut().flatten().filter_map(Option::take);
    let good: Vec<NewRecord> = good.collect();
    if good.is_empty() {
        return Ok(Vec::new());
    }
    let appended = match unit {
        None => api.append(good).await?,
        Some(key) => {
            let records = good.into_iter().map(|new| new.record).collect();
            let key = IdempotencyKey::new(key);
            let appended = api.append_unit(records, key).await?;
            let whole: Result<Vec<_>, KeyConflict> = appended.into_iter().collect();
            whole?.into_iter().map(Ok).collect()
        }
    };
    wait_for_lanes(api, &appended).await;
    Ok(appended)
}

/// A line of a batch's answer.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "BatchAnswer")]
pub(super) enum Answer {
    Receipt(Receipt),
    Error(ApiError),
}

fn answers(
    api: &Api,
    lines: Vec<Line>,
    appended: Vec<AppendAnswer>,
    trace: Option<Traceparent>,
) -> Result<Vec<Answer>, ApiError> {
    let mut appended = appended.into_iter();
    let answer = |line| match line {
        Err(error) => Ok(Answer::Error(error)),
        Ok(_) => match appended.next() {
            Some(Ok(appended)) => {
                let outcome = api.mirror.outcome_now(appended.record_type, appended.seq);
                let receipt = Receipt::new(&appended, outcome.into());
                Ok(Answer::Receipt(receipt.of_trace(trace)))
            }
            Some(Err(conflict)) => Ok(Answer::Error(conflict.into())),
            None => Err(ApiError::internal()),
        },
    };
    lines.into_iter().map(answer).collect()
}

fn is_replayed(answer: &AppendAnswer) -> bool {
    answer.is_ok_and(|appended| appended.replayed)
}

pub(super) fn say_replayed(response: &mut Response) {
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert("idempotency-replayed", yes);
}

/// Waits, once per lane, for the last record of the batch in it.
async fn wait_for_lanes(api: &Api, appended: &[AppendAnswer]) {
    let last = |lane| {
        let taken = appended
            .iter()
            .flatten()
            .filter(move |one| one.record_type == lane);
        taken.map(|one| one.seq).max().map(|seq| (lane, seq))
    };
    let waits = RecordType::MIRRORED
        .into_iter()
        .filter_map(last)
        .map(|(lane, seq)| api.outcome(lane, seq));
    futures_util::future::join_all(waits).await;
}

/// The answer holds the body's share of the memory: it is about as long.
fn answer_batch(
    answers: &[Answer],
    format: Format,
    held: impl Send + 'static,
) -> Result<Response, ApiError> {
    let refused = answers
        .iter()
        .any(|answer| matches!(answer, Answer::Error(_)));
    let status = if refused {
        StatusCode::MULTI_STATUS
    } else {
        StatusCode::OK
    };
    let (kind, text) = match format {
        Format::Array => ("application/json", serde_json::to_vec(answers)),
        Format::Lines => (NDJSON, lines_of(answers)),
    };
    let text = text.map_err(|_| ApiError::internal())?;
    Ok((status, held::answer(kind, text, held)).into_response())
}

fn lines_of(answers: &[Answer]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for answer in answers {
        serde_json::to_writer(&mut text, answer)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// A checked record with the key from the body.
pub(super) struct Posted<'a> {
    record: Record,
    key: Option<Cow<'a, str>>,
}

/// A record from the JSON that a caller sent.
pub(super) fn parse(text: &[u8]) -> Result<Posted<'_>, ApiError> {
    let request: IngestRequest<'_> = serde_json::from_slice(text).map_err(|error| {
        ApiError::malformed(format!(
            "the body must be {{\"record_type\": …, \"data\": {{…}}}}: {error}"
        ))
    })?;
    let record_type: RecordType = request.record_type.parse().map_err(|error| {
        ApiError::new(Code::UnknownRecordType, format!("record_type {error}")).about("record_type")
    })?;
    if record_type == RecordType::Document {
        return Err(ApiError::new(
            Code::UnknownRecordType,
            "record_type document is written to its collection: POST /v1/agents/{collection}/records/json",
        )
        .about("record_type"));
    }
    if let Some(key) = &request.idempotency_key {
        check_key(key, "idempotency_key")?;
    }
    Ok(Posted {
        record: Record::from_json(record_type, request.data.get())?,
        key: request.idempotency_key,
    })
}

pub(super) fn header_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let key = headers::single(headers, KEY_HEADER)?;
    key.map_or(Ok(()), |key| check_key(key, KEY_HEADER))?;
    Ok(key)
}

fn check_key(key: &str, name: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        let must = format!("must be text of 1 to {KEY_MAX_BYTES} bytes");
        return Err(ApiError::parameter(name, &must));
    }
    Ok(())
}

fn check_same_key(header: Option<&str>, body: Option<&str>) -> Result<(), ApiError> {
    match (header, body) {
        (Some(header), Some(body)) if header != body => Err(ApiError::parameter(
            "idempotency_key",
            "must be that of the header Idempotency-Key, or be left out",
        )),
        _ => Ok(()),
    }
}
