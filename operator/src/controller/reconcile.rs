//! Runs the looks: which integration, when, and when again after a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::leader::Leader;
use super::sweep;
use crate::backoff::Waits;
use crate::caches::GuardedIntegration;
use crate::causes::causes;
use crate::metrics::Reconciled;

/// The first and the longest wait after failures.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);
/// Integrations looked at side by side: enough that one slow namespace holds up no other.
const CONCURRENT_LOOKS: u16 = 8;

/// Reconciles until the signal.
pub(crate) async fn run(leader: Arc<Leader>, shutdown: CancellationToken) {
    let changed = leader.caches.changes.subscribe();
    let existing = leader.caches.integrations.state();
    let existing = existing.into_iter().map(|one| ObjectRef::from_obj(&*one));
    let touched = futures_util::stream::iter(existing).chain(changed);
    let touched = touched.inspect({
        let leader = Arc::clone(&leader);
        move |touched| leader.enqueue(touched)
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(sweep::run(Arc::clone(&leader)));
    let outcomes = Controller::for_stream(
        futures_util::stream::pending(),
        leader.caches.integrations.clone(),
    )
    .reconcile_on(touched)
    .with_config(Config::default().concurrency(CONCURRENT_LOOKS))
    .graceful_shutdown_on(shutdown.clone().cancelled_owned())
    .run(reconcile, retry, Arc::clone(&leader))
    // An integration that was deleted meanwhile is no error; `retry` logged the others.
    .for_each(|_| std::future::ready(()));
    tokio::select! {
        () = outcomes => {}
        () = shutdown.cancelled() => {}
        // The sweep ends only by a panic, which goes on here.
        Some(Err(error)) = tasks.join_next() => {
            if let Ok(panic) = error.try_into_panic() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

async fn reconcile(one: Arc<GuardedIntegration>, leader: Arc<Leader>) -> Result<Action, Error> {
    let began = Instant::now();
    let of = ObjectRef::from_obj(&*one);
    let span = leader.span(&of);
    leader.dequeue(&of);
    let mut memory = leader.recall(&of);
    let result = leader.look_at(&one, &mut memory).await;
    let outcome = if result.is_ok() {
        memory.failures = 0;
        Reconciled::Ok
    } else {
        memory.failures = memory.failures.saturating_add(1);
        Reconciled::Error
    };
    leader.remember(of, memory);
    if let Some(span) = &span {
        span.set("boboyka.outcome", outcome.as_str());
        if let Err(error) = &result {
            span.fail(causes(error));
        }
    }
    leader
        .metrics
        .reconciled("integration", outcome, began.elapsed());
    result.map(Action::requeue)
}

/// The wait after a failure.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller calls it with what it has"
)]
fn retry(one: Arc<GuardedIntegration>, error: &Error, leader: Arc<Leader>) -> Action {
    let failures = leader.failures(&ObjectRef::from_obj(&*one));
    let wait = Waits::between(RETRY_FIRST, RETRY_MAX).after(failures);
    let (namespace, name) = (one.namespace(), one.name_any());
    tracing::warn!(
        namespace,
        integration = name,
        error = causes(error),
        ?wait,
        "could not reconcile BoboykaIntegration {name}; retrying"
    );
    Action::requeue(wait)
}
