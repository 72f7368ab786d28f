//! `GET /v1/boboyka/last-hour`: figures for charts. And the task that notes the lag.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boboyka_store::now_ms;
use serde::Serialize;
use tokio::time::sleep;

use super::state::Api;
use crate::last_hour::{Figures, SLOT};

/// How long the lag is not looked at again after a change of the strand.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The last hour.
#[derive(Serialize)]
struct LastHourJson {
    now_ms: u64,
    slot_ms: u64,
    slots: Vec<SlotJson>,
}

/// What happened in a slot.
#[derive(Serialize)]
struct SlotJson {
    start_ms: u64,
    records: u64,
    commit_p99_ms: Option<f64>,
    lag_ms: u64,
}

/// The figures of the last hour.
pub(super) async fn last_hour(State(api): State<Arc<Api>>) -> Response {
    let now_ms = now_ms();
    let slots = api.last_hour.figures().into_iter();
    axum::Json(LastHourJson {
        now_ms,
        slot_ms: whole_ms(SLOT),
        slots: slots.map(|figures| slot(now_ms, &figures)).collect(),
    })
    .into_response()
}

fn slot(now_ms: u64, figures: &Figures) -> SlotJson {
    SlotJson {
        start_ms: now_ms.saturating_sub(whole_ms(figures.age)),
        records: figures.records,
        commit_p99_ms: figures.commit_p99.map(|took| took.as_secs_f64() * 1_000.0),
        lag_ms: figures.lag_ms,
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Notes the lag until the shutdown: once a slot while there is one, and otherwise only after the strand has changed.
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
            let _ = tokio::time::timeout(SLOT, changes.changed()).await;
        } else if changes.changed().await.is_err() {
            // The store is gone, and so is the API soon.
            return std::future::pending().await;
        } else {
            sleep(LOOK_INTERVAL).await;
        }
    }
}
