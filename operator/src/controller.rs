//! The controller, on the replica that leads: brings each integration to what it asks for, and tells how it stands.
//!
//! `reconcile` reads as one sentence: observe, validate, plan, apply, tell. Only `observe` reads and only `apply` and
//! `publish` write; what lies between is pure, and time is an argument.

mod apply;
mod observe;
mod plan;
mod publish;
mod rollout;
mod status;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use boboyka_crds::{HeadReference, IntegrationStatus, names};
use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::caches::{Caches, GuardedIntegration, Touched};
use crate::integration::{Defaults, validate};
use crate::metrics::{Metrics, Reconciled};
use crate::phases;
use crate::shutdown::Shutdown;

/// An integration is looked at this often even if nothing happens: time alone makes reports old.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// The first wait after a failure; it doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_mins(1);
/// Integrations looked at side by side: enough that one slow namespace holds up no other.
const SIDE_BY_SIDE: u16 = 8;

/// What reconciling works with.
pub struct Leader {
    client: Client,
    caches: Caches,
    defaults: Defaults,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    /// How long a strand that was chosen at admission waits for its pod.
    grace: Duration,
    memories: Mutex<HashMap<ObjectRef<GuardedIntegration>, Memory>>,
    /// Integrations that wait to be looked at.
    waiting: Mutex<HashSet<Touched>>,
}

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leader")
    }
}

/// What is remembered of an integration between two looks; losing it costs some needless writes.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// Of which integration: one that is made again under its name is another.
    uid: Option<String>,
    /// When and for which generation the role binding was applied.
    bound: Option<(Instant, i64)>,
    /// Generations of workloads to which the label was applied, by UID.
    selected: HashMap<String, i64>,
    /// When a strand's head is to be noted next, by the strand's UID.
    witness_due: HashMap<String, Instant>,
    /// The newest head of each strand that was reported to this replica, by the strand's UID.
    heads: HashMap<String, HeadReference>,
    /// When the status was written last.
    written: Option<Instant>,
    /// Failures in a row.
    failures: u32,
}

impl Memory {
    /// Remembers the newest heads, and when to note each for those who lead later: spread, not all at once.
    fn note_heads(&mut self, seen: &observe::Seen) {
        let uids: HashSet<String> = seen
            .strands
            .iter()
            .filter_map(|strand| strand.uid())
            .collect();
        self.heads.retain(|uid, _| uids.contains(uid));
        self.witness_due.retain(|uid, _| uids.contains(uid));
        for strand in &seen.strands {
            let head = strand
                .status
                .as_ref()
                .and_then(|status| status.head.clone());
            let (Some(uid), Some(head)) = (strand.uid(), head) else {
                continue;
            };
            let first = || Instant::now() + plan::WITNESS_INTERVAL.mul_f64(fastrand::f64());
            self.witness_due.entry(uid.clone()).or_insert_with(first);
            let newest = self.heads.entry(uid).or_insert_with(|| head.clone());
            if head.seq > newest.seq {
                *newest = head;
            }
        }
    }
}

/// Why an integration could not be brought to what it asks for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One or more writes failed.
    #[error("could not {}", .0.join("; could not "))]
    Apply(Vec<String>),
    /// The status could not be written.
    #[error("could not write the status")]
    Publish(#[source] Box<kube::Error>),
}

impl Leader {
    /// Leads with what is in the caches. `instance` is this replica's name, for its Events.
    pub fn new(
        client: Client,
        caches: Caches,
        defaults: Defaults,
        metrics: Arc<Metrics>,
        instance: String,
        grace: Duration,
    ) -> Self {
        let reporter = Reporter {
            controller: format!("{}/operator", names::GROUP),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            caches,
            defaults,
            metrics,
            grace,
            memories: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Notes that an integration waits to be looked at, or does not any more.
    fn wait(&self, touched: &Touched, waits: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            waiting.insert(touched.clone());
        } else {
            waiting.remove(touched);
        }
        // One that is deleted is never looked at.
        waiting.retain(|one| self.caches.integrations.get(one).is_some());
        self.metrics.set_queue("integration", waiting.len());
    }

    fn memory(&self, of: &ObjectRef<GuardedIntegration>) -> Memory {
        let memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.get(of).cloned().unwrap_or_default()
    }

    fn remember(&self, of: ObjectRef<GuardedIntegration>, memory: Memory) {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(of, memory);
    }
}

/// Reconciles until the shutdown.
pub async fn run(leader: Arc<Leader>, mut shutdown: Shutdown) {
    let changes = leader.caches.changes.subscribe();
    let (first, rest) = (leader.caches.integrations.state(), stream_of(changes));
    let first = futures_util::stream::iter(first.into_iter().map(|one| ObjectRef::from_obj(&*one)));
    let config = kube::runtime::controller::Config::default().concurrency(SIDE_BY_SIDE);
    let mut tasks = JoinSet::new();
    tasks.spawn(sweep::run(Arc::clone(&leader)));
    let mut ends = shutdown.clone();
    let outcomes = Controller::for_stream(
        futures_util::stream::pending(),
        leader.caches.integrations.clone(),
    )
    .reconcile_on(first.chain(rest).inspect({
        let leader = Arc::clone(&leader);
        move |touched| leader.wait(touched, true)
    }))
    .with_config(config)
    .graceful_shutdown_on(async move { ends.wait().await })
    .run(reconcile, retry, Arc::clone(&leader))
    // An integration that is gone meanwhile is no error; the others were logged where they arose.
    .for_each(|_| std::future::ready(()));
    tokio::select! {
        () = outcomes => {}
        () = shutdown.wait() => {}
        // It ends only by a panic, which goes on here.
        Some(Err(error)) = tasks.join_next() => {
            if let Ok(panic) = error.try_into_panic() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn stream_of(
    changes: mpsc::UnboundedReceiver<Touched>,
) -> impl futures_util::Stream<Item = Touched> {
    futures_util::stream::unfold(changes, |mut changes| async {
        let touched = changes.recv().await?;
        Some((touched, changes))
    })
}

async fn reconcile(one: Arc<GuardedIntegration>, leader: Arc<Leader>) -> Result<Action, Error> {
    let began = Instant::now();
    let of = ObjectRef::from_obj(&*one);
    leader.wait(&of, false);
    let mut memory = leader.memory(&of);
    let result = leader.look_at(&one, &mut memory).await;
    memory.failures = match &result {
        Ok(_) => 0,
        Err(_) => memory.failures.saturating_add(1),
    };
    leader.remember(of, memory);
    let outcome = if result.is_ok() {
        Reconciled::Ok
    } else {
        Reconciled::Error
    };
    leader
        .metrics
        .reconciled("integration", outcome, began.elapsed());
    result.map(Action::requeue)
}

impl Leader {
    /// One look: what is, what is asked for, what follows, done and told. When to look again.
    async fn look_at(
        &self,
        one: &GuardedIntegration,
        memory: &mut Memory,
    ) -> Result<Duration, Error> {
        let Ok(integration) = &one.0 else {
            // Said by its column's absence and by the log; this version can't write the status of what it can't read.
            let error = one.0.as_ref().err().map(|error| error.error.clone());
            tracing::error!(integration = %ObjectRef::from_obj(one), error, "an integration can't be read; is the operator older than the definition?");
            return Ok(LOOK_AGAIN);
        };
        let now = Time(Timestamp::now());
        let before = integration.status.clone().unwrap_or_default();
        let seen = observe::observe(&self.caches, integration);
        let validated = match validate(integration, &self.defaults) {
            Ok(validated) => validated,
            Err(invalid) => {
                let status = status::invalid(integration, &before, &invalid.to_string(), &now);
                self.publish(integration, &before, status, memory).await?;
                return Ok(LOOK_AGAIN);
            }
        };
        if memory.uid != integration.metadata.uid {
            *memory = Memory {
                uid: integration.metadata.uid.clone(),
                ..Memory::default()
            };
        }
        memory.note_heads(&seen);
        let evidence = seen.evidence(&before, &now);
        let request = phases::Request {
            phase: validated.phase,
            generation: validated.generation,
            has_supabase: validated.secret.is_some(),
            suspended: validated.suspended,
        };
        let decision = phases::decide(request, &before, &evidence, &now);
        let plan = plan::plan(&validated, &seen, memory, self.grace, &now);
        let rollout = rollout::next(&validated, &seen, &now);
        let applied = self.apply(&validated, plan, &rollout, memory).await;
        let facts = status::Facts {
            validated: &validated,
            seen: &seen,
            evidence: &evidence,
            decision: &decision,
            rollout: &rollout,
            applied: &applied,
            now: &now,
        };
        let status: IntegrationStatus = status::status(&facts, &before);
        let again = self.publish(integration, &before, status, memory).await?;
        if applied.failures.is_empty() {
            Ok(again.unwrap_or(LOOK_AGAIN))
        } else {
            Err(Error::Apply(applied.failures))
        }
    }
}

/// The wait after a failure.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the controller calls it with what it has"
)]
fn retry(one: Arc<GuardedIntegration>, error: &Error, leader: Arc<Leader>) -> Action {
    let of = ObjectRef::from_obj(&*one);
    let failures = leader.memory(&of).failures.min(10);
    let wait = RETRY_FIRST
        .saturating_mul(1 << failures.saturating_sub(1))
        .min(RETRY_MOST);
    let error = error as &dyn std::error::Error;
    let (namespace, name) = (one.namespace(), one.name_any());
    tracing::warn!(
        namespace,
        integration = name,
        error,
        ?wait,
        "integration {name} is not as it asks to be"
    );
    Action::requeue(wait.mul_f64(0.5 + fastrand::f64() / 2.0))
}
