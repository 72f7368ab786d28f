//! `POST /v1/boboyka/ingest` and `/ingest/batch`: check, append, wait for the mirror, answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use boboyka_store::{Appended, IdempotencyKey, KEY_MAX_BYTES, KeyConflict, NewRecord};
use boboyka_strand::{Record, RecordType};
use serde::Serialize;

use super::body;
use super::error::{ApiError, Code};
use super::splitter::{Format, Splitter};
use super::state::Api;
use super::wire::{IngestRequest, Receipt};

/// The longest body of one record: its JSON may be longer than its `MessagePack`, escapes most of all.
const INGEST_MAX_BYTES: usize = 4 * 1024 * 1024;
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
    if body::media_type(&parts.headers) != "application/json" {
        return Err(body::unsupported("application/json"));
    }
    let key = header_key(&parts.headers)?;
    let mut body = api.bodies.incoming(content, INGEST_MAX_BYTES);
    let new = parse(&body.read().await?, key)?;
    let mut answers = api.store.append(vec![new]).await?;
    let appended = answers.pop().ok_or_else(ApiError::internal)??;
    let outcome = api.mirror.outcome(appended.record_type, appended.seq).await;
    let mut response = axum::Json(Receipt::new(&appended, outcome.into())).into_response();
    if appended.replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotency-replayed", yes);
    }
    Ok(response)
}

/// Takes many records, each answered by itself, in order. They are checked as they arrive, but none is
/// appended before the last has: a body that is cut short writes nothing.
pub(super) async fn batch(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, content) = request.into_parts();
    let format = match body::media_type(&parts.headers).as_str() {
        NDJSON => Format::Lines,
        "application/json" => Format::Array,
        _ => {
            return Err(body::unsupported(
                "application/json or application/x-ndjson",
            ));
        }
    };
    let mut body = api.bodies.incoming(content, BATCH_MAX_BYTES);
    let mut parsed = Vec::new();
    let mut splitter = Splitter::new(format);
    while let Some(part) = body.next().await? {
        splitter.push(&part, |text| take(&mut parsed, text))?;
    }
    splitter.finish(|text| take(&mut parsed, text))?;
    let answers = append_all(&api, parsed).await?;
    Ok(answer_batch(&answers, format))
}

fn take(parsed: &mut Vec<Result<NewRecord, ApiError>>, text: &[u8]) -> Result<(), ApiError> {
    if parsed.len() == BATCH_MAX_RECORDS {
        let message = format!("a batch has at most {BATCH_MAX_RECORDS} records");
        return Err(ApiError::too_large(message));
    }
    parsed.push(parse(text, None));
    Ok(())
}

/// A line of a batch's answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Receipt(Receipt),
    Error(ApiError),
}

async fn append_all(
    api: &Api,
    parsed: Vec<Result<NewRecord, ApiError>>,
) -> Result<Vec<Answer>, ApiError> {
    let mut good = Vec::with_capacity(parsed.len());
    let mut errors = Vec::with_capacity(parsed.len());
    for line in parsed {
        match line {
            Ok(new) => {
                good.push(new);
                errors.push(None);
            }
            Err(error) => errors.push(Some(error)),
        }
    }
    let appended = if good.is_empty() {
        Vec::new()
    } else {
        api.store.append(good).await?
    };
    wait_for_lanes(api, &appended).await;
    let mut appended = appended.into_iter();
    errors
        .into_iter()
        .map(|error| match (error, None) {
            (Some(error), _) => Ok(Answer::Error(error)),
            (None, taken) => match taken.or_else(|| appended.next()) {
                Some(Ok(appended)) => {
                    let outcome = api.mirror.outcome_now(appended.record_type, appended.seq);
                    Ok(Answer::Receipt(Receipt::new(&appended, outcome.into())))
                }
                Some(Err(conflict)) => Ok(Answer::Error(conflict.into())),
                None => Err(ApiError::internal()),
            },
        })
        .collect()
}

/// Waits, once per lane, for the last record of the batch in it.
async fn wait_for_lanes(api: &Api, appended: &[Result<Appended, KeyConflict>]) {
    let last = |lane| {
        let taken = appended
            .iter()
            .flatten()
            .filter(move |one| one.record_type == lane);
        taken.map(|one| one.seq).max().map(|seq| (lane, seq))
    };
    let waits = RecordType::ALL
        .into_iter()
        .filter_map(last)
        .map(|(lane, seq)| api.mirror.outcome(lane, seq));
    futures_util::future::join_all(waits).await;
}

fn answer_batch(answers: &[Answer], format: Format) -> Response {
    let refused = answers
        .iter()
        .any(|answer| matches!(answer, Answer::Error(_)));
    let status = if refused {
        StatusCode::MULTI_STATUS
    } else {
        StatusCode::OK
    };
    if format == Format::Array {
        return (status, axum::Json(answers)).into_response();
    }
    let mut text = Vec::new();
    for answer in answers {
        if serde_json::to_writer(&mut text, answer).is_err() {
            return ApiError::internal().into_response();
        }
        text.push(b'\n');
    }
    (status, [(header::CONTENT_TYPE, NDJSON)], text).into_response()
}

/// A record from the JSON that a caller sent.
fn parse(text: &[u8], header_key: Option<IdempotencyKey>) -> Result<NewRecord, ApiError> {
    let request: IngestRequest<'_> = serde_json::from_slice(text).map_err(|error| {
        ApiError::malformed(format!(
            "the body must be {{\"record_type\": …, \"data\": {{…}}}}: {error}"
        ))
    })?;
    let record_type: RecordType = request.record_type.parse().map_err(|error| {
        ApiError::new(Code::UnknownRecordType, format!("record_type {error}")).about("record_type")
    })?;
    let body_key = request
        .idempotency_key
        .map(|key| check_key(&key, "idempotency_key"))
        .transpose()?;
    let record = Record::from_json(record_type, request.data.get())?;
    Ok(NewRecord {
        record,
        key: header_key.or(body_key),
    })
}

fn header_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get(KEY_HEADER) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| bad_key(KEY_HEADER))?;
    check_key(text, KEY_HEADER).map(Some)
}

fn check_key(key: &str, name: &str) -> Result<IdempotencyKey, ApiError> {
    if key.is_empty() || key.len() > KEY_MAX_BYTES {
        return Err(bad_key(name));
    }
    Ok(IdempotencyKey::new(key))
}

fn bad_key(name: &str) -> ApiError {
    ApiError::parameter(name, &format!("must be text of 1 to {KEY_MAX_BYTES} bytes"))
}
