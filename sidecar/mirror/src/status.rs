//! What a lane shows of itself: to the ingests that wait for it, to `GET /v1/boboyka/mirror`, and to
//! the metrics. Holds neither secrets nor row data.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use boboyka_store::DeadLetter;
use boboyka_strand::{RecordType, Seq};
use enum_map::EnumMap;

use crate::classify::Class;
use crate::parity::Parity;
use crate::preflight::Shape;
use crate::table::Mode;

/// How a lane is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneState {
    /// No credentials.
    #[default]
    Disabled,
    /// The phase gives the lane nothing more to send, or is not known yet.
    Closed,
    /// Sending, or nothing to send.
    Mirroring,
    /// Waiting after a failure.
    BackingOff,
    /// The breaker is open: waiting longer, with probes.
    Open,
    /// The key or a grant is refused.
    AuthFailed,
    /// The table is not what the rows need.
    SchemaMismatch,
    /// The table refused too many records in a row.
    Refused,
}

impl LaneState {
    /// All states, for metrics that have one series per state.
    pub const ALL: [Self; 8] = [
        Self::Disabled,
        Self::Closed,
        Self::Mirroring,
        Self::BackingOff,
        Self::Open,
        Self::AuthFailed,
        Self::SchemaMismatch,
        Self::Refused,
    ];

    /// The name on the wire and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Closed => "closed",
            Self::Mirroring => "mirroring",
            Self::BackingOff => "backing_off",
            Self::Open => "open",
            Self::AuthFailed => "auth_failed",
            Self::SchemaMismatch => "schema_mismatch",
            Self::Refused => "refused",
        }
    }
}

/// What a lane publishes at every step.
#[derive(Clone, Debug)]
pub(super) struct LaneView {
    pub(super) state: LaneState,
    pub(super) reason: Option<Arc<str>>,
    pub(super) retry_at: Option<Instant>,
    /// Every record of the lane up to here is mirrored or a dead letter.
    pub(super) passed: Seq,
    /// When the oldest record that is not was ingested, if there is one and it is known.
    pub(super) oldest_ms: Option<u64>,
    /// Whether a request takes longer than an ingest waits, or the last one had no answer.
    pub(super) is_hanging: bool,
    /// Refused rows that are sent again by themselves, and when the oldest was ingested.
    pub(super) set_aside: u64,
    pub(super) aside_ms: Option<u64>,
    pub(super) table: Arc<str>,
    pub(super) shape: Arc<Shape>,
}

impl LaneView {
    /// Of a lane that has done nothing yet.
    pub(super) fn new() -> Self {
        Self {
            state: LaneState::default(),
            reason: None,
            retry_at: None,
            passed: 0,
            oldest_ms: None,
            is_hanging: false,
            set_aside: 0,
            aside_ms: None,
            table: "".into(),
            shape: Arc::default(),
        }
    }

    /// Whether the table was looked at.
    pub(super) fn table_is_known(&self) -> bool {
        !self.shape.columns.is_empty()
    }

    /// Whether Supabase or the table keeps the lane from sending before `deadline`, so that waiting for it is pointless.
    /// Settings and phase are not asked here: the lane learns of a change a moment after everybody else.
    pub(super) fn is_stuck_until(&self, deadline: Instant) -> bool {
        match self.state {
            LaneState::Mirroring | LaneState::Disabled | LaneState::Closed => self.is_hanging,
            LaneState::BackingOff if self.is_hanging => true,
            LaneState::BackingOff => self.retry_at.is_some_and(|at| at >= deadline),
            LaneState::Open
            | LaneState::AuthFailed
            | LaneState::SchemaMismatch
            | LaneState::Refused => true,
        }
    }
}

/// One lane as `GET /v1/boboyka/mirror` shows it.
#[derive(Clone, Debug)]
pub struct LaneStatus {
    /// The record type.
    pub record_type: RecordType,
    /// Its table.
    pub table: Arc<str>,
    /// A row for each record or for each key; none while the table is not known.
    pub mode: Option<Mode>,
    /// The columns that name a row, with a row for each key.
    pub key: Vec<Arc<str>>,
    /// How it is doing.
    pub state: LaneState,
    /// Why, unless all is well.
    pub reason: Option<String>,
    /// Every record of the lane up to this seq is mirrored or a dead letter.
    pub mark: Seq,
    /// The strand's newest seq.
    pub head: Seq,
    /// Records that are neither, of those that the phase mirrors.
    pub backlog: u64,
    /// Age of the oldest of them.
    pub lag_ms: u64,
    /// Records in the table.
    pub mirrored: u64,
    /// Records refused for good.
    pub dead_lettered: u64,
    /// Records that were refused and are sent again by themselves; part of the backlog.
    pub set_aside: u64,
    /// When the lane tries again, if it waits.
    pub retry_in_ms: Option<u64>,
    /// Columns that the table has not.
    pub lost_columns: Vec<Arc<str>>,
    /// Whether a record sent twice is stored once.
    pub idempotent: bool,
    /// Whether the table itself keeps an older row from replacing a newer one.
    pub guarded: bool,
    /// How the table differs from the strand.
    pub parity: Parity,
    /// The oldest dead letters; only filled in where they were asked for.
    pub dead_letters: Vec<DeadLetter>,
}

/// What a lane counts since the process started.
#[derive(Debug, Default)]
pub struct LaneCounters {
    requests: EnumMap<Class, AtomicU64>,
    rows: AtomicU64,
}

impl LaneCounters {
    pub(super) fn count(&self, class: Class) {
        self.requests[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// Requests whose answer was of this class, preflights included.
    pub fn requests(&self, class: Class) -> u64 {
        self.requests[class].load(Ordering::Relaxed)
    }

    /// Rows accepted.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

/// Milliseconds until `at`; 0 when it is past.
pub(crate) fn ms_until(at: Instant, now: Instant) -> u64 {
    let left = at.saturating_duration_since(now).as_millis();
    u64::try_from(left).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LaneState, LaneView};

    #[test]
    fn an_ingest_waits_only_while_a_request_may_come_in_time() {
        let deadline = Instant::now() + Duration::from_secs(2);
        let view = |state, retry_at| LaneView {
            state,
            retry_at,
            ..LaneView::new()
        };
        let soon = Some(deadline.checked_sub(Duration::from_secs(1)).unwrap());
        assert!(!view(LaneState::Mirroring, None).is_stuck_until(deadline));
        assert!(!view(LaneState::BackingOff, soon).is_stuck_until(deadline));
        assert!(view(LaneState::BackingOff, Some(deadline)).is_stuck_until(deadline));
        for state in [
            LaneState::Open,
            LaneState::AuthFailed,
            LaneState::SchemaMismatch,
            LaneState::Refused,
        ] {
            assert!(view(state, soon).is_stuck_until(deadline));
        }
    }

    #[test]
    fn an_ingest_waits_for_a_lane_that_has_not_heard_yet_that_it_may_send() {
        let deadline = Instant::now() + Duration::from_secs(2);
        for state in [LaneState::Disabled, LaneState::Closed] {
            let view = LaneView {
                state,
                ..LaneView::new()
            };
            assert!(!view.is_stuck_until(deadline));
        }
    }
}
