//! `drain`: mirrors what a strand without a pod still holds for Supabase, then ends. It takes no records.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::Strand;
use crate::signals::Signals;
use crate::upkeep::Upkeep;
use crate::{RunError, observed, open, outside};

/// How long it waits to become the holder, whose report counts, once everything is mirrored.
const HOLDER_LIMIT: Duration = Duration::from_secs(30);
/// How long the report may take that says that everything is.
const REPORT_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked how far the lanes came.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Why there is nothing more to do.
#[derive(Clone, Copy, Debug)]
enum Done {
    NoSupabase,
    Settled,
}

/// Mirrors until Supabase has everything that the phase in force wants it to have.
///
/// # Errors
/// [`RunError`]: what kept it from that, a signal to end among them.
pub async fn drain(strand: Strand) -> Result<(), RunError> {
    let outside = outside(&strand)?;
    let span = outside.span();
    let mut signals = Signals::listen();
    let work = async {
        let store = open(&strand).await?;
        let shutdown = CancellationToken::new();
        let end = shutdown.clone().drop_guard();
        let mut upkeep = Upkeep::start(&store, &strand, outside, false, &shutdown).await;
        observed(&strand, &store, &mut upkeep, &shutdown).await?;
        tracing::info!(head = store.head().seq, "draining: no records are taken");
        let ended = tokio::select! {
            done = done(&upkeep) => Ok(done),
            () = signals.next() => Err(RunError::Interrupted),
            reason = store.poisoned() => Err(RunError::Poisoned(reason)),
        };
        let ended = match ended {
            Ok(done) => tell(done, &upkeep).await,
            Err(error) => Err(error),
        };
        drop(end);
        upkeep.end(REPORT_LIMIT).await;
        crate::close(store).await;
        ended
    };
    Box::pin(work.instrument(span)).await
}

async fn done(upkeep: &Upkeep) -> Done {
    loop {
        let has_supabase = upkeep.integration.borrow().has_supabase;
        if !upkeep.mirror.configured() && !has_supabase {
            return Done::NoSupabase;
        }
        if upkeep.owes_nothing() {
            return Done::Settled;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn tell(done: Done, upkeep: &Upkeep) -> Result<(), RunError> {
    match done {
        Done::NoSupabase => tracing::info!("no supabase is configured: there is nothing to drain"),
        Done::Settled => {
            tracing::info!("drained: supabase has everything that it is to have");
            if tokio::time::timeout(HOLDER_LIMIT, upkeep.held())
                .await
                .is_err()
            {
                tracing::warn!(
                    "this pod does not hold the strand: it can't report that it is drained"
                );
            }
        }
    }
    Ok(())
}
