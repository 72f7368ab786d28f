//! Logs that a part of the strand can't be read. Readers may ask for it at any rate, and the log is for all.

use std::sync::{Mutex, PoisonError};

use boboyka_store::Missing;

use crate::log::Seldom;

/// Of this process, as its log is.
static LINES: Mutex<Seldom> = Mutex::new(Seldom::new());

pub(super) fn log(error: &str) {
    let due = LINES.lock().unwrap_or_else(PoisonError::into_inner).count();
    if let Some(times) = due {
        tracing::error!(
            error,
            times,
            "a part of the strand can't be read; GET /v1/boboyka/verify says where"
        );
    }
}

/// The same of the parts that an answer leaves out.
pub(super) fn log_missing(missing: &[Missing]) {
    for part in missing {
        let (first, last) = (part.first_seq, part.last_seq);
        log(&format!("seq {first} to {last}: {}", part.why));
    }
}
