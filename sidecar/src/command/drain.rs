//! `drain`: mirrors what a strand without a pod still holds for Supabase, then ends. It takes no records.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::api::Access;
use crate::config::Strand;
use crate::process::{RunError, close, open, outside, serve_health};
use crate::signals::Signals;
use crate::traces::Traces;
use crate::upkeep::Upkeep;

/// How long it waits to become the holder, whose report counts, once everything is mirrored.
const HOLDER_LIMIT: Duration = Duration::from_secs(30);
/// How long the report may take that says that everything is.
const REPORT_LIMIT: Duration = Duration::from_secs(10);

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
        serve_health(
            &strand,
            &store,
            &mut upkeep,
            Access::Open,
            Traces::default(),
            &shutdown,
        )
        .await?;
        tracing::info!(
            head = store.view().head.seq,
            "the sidecar drains the strand and takes no records"
        );
        let ended = tokio::select! {
            done = done(&upkeep) => Ok(done),
            () = signals.next() => Err(RunError::Interrupted),
            () = upkeep.holder_lost() => Err(RunError::HolderLost),
            reason = store.poisoned() => Err(RunError::Poisoned(reason)),
        };
        let ended = match ended {
            Ok(done) => report(done, &upkeep).await,
            Err(error) => Err(error),
        };
        drop(end);
        upkeep.end(REPORT_LIMIT).await;
        close(store).await;
        ended
    };
    Box::pin(work.instrument(span)).await
}

async fn done(upkeep: &Upkeep) -> Done {
    let look = |upkeep: &Upkeep| {
        let has_supabase = upkeep.integration.borrow().has_supabase;
        if !upkeep.mirror.configured() && !has_supabase {
            return Some(Done::NoSupabase);
        }
        upkeep.owes_nothing().then_some(Done::Settled)
    };
    upkeep.until(look).await
}

async fn report(done: Done, upkeep: &Upkeep) -> Result<(), RunError> {
    match done {
        Done::NoSupabase => tracing::info!("the strand needs no drain: no supabase is configured"),
        Done::Settled => {
            tracing::info!(
                "the strand is drained: supabase has every record that the phase mirrors"
            );
            if tokio::time::timeout(HOLDER_LIMIT, upkeep.held())
                .await
                .is_err()
            {
                tracing::warn!(
                    "the sidecar can't report the drain: this pod does not hold the strand"
                );
            }
        }
    }
    Ok(())
}
