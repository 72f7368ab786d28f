//! `GET /v1/boboyka/mirror` and what can be asked of the mirror: to send dead letters again, to compare the
//! tables with the strand now, to repair them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boboyka_mirror::{LaneStatus, RetryError};
use boboyka_strand::RecordType;
use serde::Serialize;
use uuid::Uuid;

use super::error::{ApiError, Code};
use super::parameters::Parameters;
use super::state::Api;
use super::wire::{CheckJson, ForeignJson, LaneJson, RepairJson, RetryJson, lane_statuses};

#[derive(Serialize)]
struct MirrorStatus {
    enabled: bool,
    supabase_url: Option<String>,
    strand: Uuid,
    foreign_writes: Option<ForeignJson>,
    foreign_writes_unknown: Option<String>,
    lanes: Vec<LaneJson>,
}

/// How the copy to Supabase stands.
pub(super) async fn status(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let status = tokio::task::spawn_blocking(move || -> Result<MirrorStatus, ApiError> {
        let view = api.store.view();
        let foreign = api.mirror.foreign();
        Ok(MirrorStatus {
            foreign_writes: foreign.known().map(ForeignJson::from),
            foreign_writes_unknown: foreign.unknown().map(str::to_owned),
            enabled: api.mirror.enabled(&view),
            supabase_url: api.mirror.supabase_url(),
            strand: api.store.strand_id(),
            lanes: lane_statuses(api.mirror.lanes_with_dead_letters(&view)?),
        })
    });
    Ok(axum::Json(status.await.map_err(|_| ApiError::internal())??).into_response())
}

/// Wakes paused lanes and sends dead letters again.
pub(super) async fn retry(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let lane = lane_of(&parameters)?;
    let report = api.mirror.retry(lane).await.map_err(not_retried)?;
    Ok(axum::Json(RetryJson::from(report)).into_response())
}

/// Compares the tables with the strand now.
pub(super) async fn check(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let lane = lane_of(&parameters)?;
    let complete = api.mirror.check(lane).await.map_err(not_retried)?;
    let foreign = api.mirror.foreign();
    let answer = CheckJson::new(complete, &foreign, lanes(&api, lane));
    Ok(axum::Json(answer).into_response())
}

/// Sends what differs again.
pub(super) async fn repair(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let lane = lane_of(&parameters)?;
    let report = api.mirror.repair(lane).await.map_err(not_retried)?;
    Ok(axum::Json(RepairJson::new(report, lanes(&api, lane))).into_response())
}

/// One lane or all, without dead letters.
fn lanes(api: &Api, chosen: Option<RecordType>) -> Vec<LaneStatus> {
    let mut lanes = api.mirror.lanes(&api.store.view());
    lanes.retain(|lane| chosen.is_none_or(|chosen| chosen == lane.record_type));
    lanes
}

fn lane_of(parameters: &Parameters) -> Result<Option<RecordType>, ApiError> {
    parameters.only(&["lane"])?;
    let lane = parameters.get("lane");
    lane.map(|name| lane_named(name).ok_or_else(bad_lane))
        .transpose()
}

fn not_retried(error: RetryError) -> ApiError {
    let code = match error {
        RetryError::Disabled => Code::MirrorDisabled,
        RetryError::Busy => Code::LaneBusy,
        RetryError::Stopping => Code::ShuttingDown,
    };
    ApiError::new(code, error.to_string())
}

fn lane_named(name: &str) -> Option<RecordType> {
    let mut lanes = RecordType::MIRRORED.into_iter();
    lanes.find(|lane| lane.name() == name)
}

fn bad_lane() -> ApiError {
    let names = RecordType::MIRRORED.map(RecordType::name).join(", ");
    ApiError::parameter("lane", &format!("must be one of {names}"))
}
