//! `GET /v1/boboyka/last-hour`: figures for charts. And the task that notes the lag.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boboyka_store::now_ms;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::sleep;

use super::state::Api;
use crate::last_hour::{Figures, INTERVAL};

/// How long the lag is not looked at again after a change of the strand.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The last hour.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LastHour")]
pub(super) struct LastHourJson {
    now_ms: u64,
    interval_ms: u64,
    intervals: Vec<IntervalJson>,
}

/// What happened in an interval.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Interval")]
struct IntervalJson {
    start_ms: u64,
    records: u64,
    commit_p99_ms: Option<f64>,
    lag_ms: u64,
}

/// The figures of the last hour.
pub(super) async fn last_hour(State(api): State<Arc<Api>>) -> Response {
    let now_ms = now_ms();
    let intervals = api.last_hour.figures().into_iter();
    axum::Json(LastHourJson {
        now_ms,
        interval_ms: whole_ms(INTERVAL),
        intervals: intervals
            .map(|figures| interval(now_ms, &figures))
            .collect(),
    })
    .into_response()
}

fn interval(now_ms: u64, figures: &Figures) -> IntervalJson {
    IntervalJson {
        start_ms: now_ms.saturating_sub(whole_ms(figures.age)),
        records: figures.records,
        commit_p99_ms: figures.commit_p99.map(milliseconds),
        lag_ms: figures.lag_ms,
    }
}

/// Whole microseconds as milliseconds.
fn milliseconds(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Notes the lag until the shutdown: once an interval while there is one, and otherwise only after the strand has changed.
pub(crate) async fn watch_lag(api: Arc<Api>) {
    let shutdown = api.shutdown.clone();
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = note_lag(&api) => {}
    }
}

async fn note_lag(api: &Api) {
    let mut changes = api.store.watch_view();
    loop {
        changes.mark_unchanged();
        let lanes = api.mirror.lanes(&api.store.view());
        let lag_ms = lanes.iter().map(|lane| lane.lag_ms).max();
        if let Some(lag_ms) = lag_ms.filter(|lag_ms| *lag_ms > 0) {
            api.last_hour.lagged(lag_ms);
            sleep(LOOK_INTERVAL).await;
            let _ = tokio::time::timeout(INTERVAL, changes.changed()).await;
        } else if changes.changed().await.is_err() {
            // The store is gone, and so is the API soon.
            return std::future::pending().await;
        } else {
            sleep(LOOK_INTERVAL).await;
        }
    }
}
