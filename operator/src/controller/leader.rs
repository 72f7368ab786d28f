//! One look at an integration, with everything it needs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boboyka_crds::phases::{self, Now, Request};
use boboyka_crds::{BoboykaIntegration, IntegrationStatus};
use boboyka_otlp::{Kind, TraceSpan, Traces};
use kube::Client;
use kube::runtime::reflector::ObjectRef;

use super::apply::apply;
use super::error::Error;
use super::memory::Memory;
use super::news;
use super::observe::observe;
use super::plan::{Situation, plan};
use super::publish::Publisher;
use super::queue::Queue;
use super::status::{self, Facts};
use crate::caches::{Caches, GuardedIntegration, Touched};
use crate::clock::Moment;
use crate::integration::{Defaults, validate};
use crate::metrics::Metrics;

/// An integration is looked at this often even if nothing happens: reports grow old by time alone.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// How the leader works.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What integrations leave open.
    pub(crate) defaults: Defaults,
    /// This replica's name, for its Events.
    pub(crate) instance: String,
    /// How long a strand that was given at admission waits for its pod.
    pub(crate) grace: Duration,
    /// What opens spans, if a collector is named.
    pub(crate) traces: Option<Traces>,
}

/// What a look at an integration works with.
pub(crate) struct Leader {
    pub(super) client: Client,
    pub(super) caches: Caches,
    pub(super) metrics: Arc<Metrics>,
    settings: Settings,
    publisher: Publisher,
    memories: Mutex<HashMap<Touched, Memory>>,
    queue: Queue,
}

impl Leader {
    /// Leads with what is in the caches.
    pub(crate) fn new(
        client: Client,
        caches: Caches,
        metrics: Arc<Metrics>,
        settings: Settings,
    ) -> Self {
        Self {
            publisher: Publisher::new(client.clone(), settings.instance.clone()),
            client,
            caches,
            metrics,
            settings,
            memories: Mutex::default(),
            queue: Queue::default(),
        }
    }

    /// Counts an integration among those that wait to be looked at.
    pub(super) fn enqueue(&self, one: &Touched) {
        let exists = |one: &Touched| self.caches.integrations.get(one).is_some();
        let waiting = self.queue.add(one, exists);
        self.metrics.set_queue("integration", waiting);
    }

    /// Counts an integration out again.
    pub(super) fn dequeue(&self, one: &Touched) {
        self.metrics
            .set_queue("integration", self.queue.remove(one));
    }

    /// Takes what is remembered of an integration: one look at a time has it.
    pub(super) fn recall(&self, of: &Touched) -> Memory {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.remove(of).unwrap_or_default()
    }

    /// How often in a row looks at an integration failed.
    pub(super) fn failures(&self, of: &Touched) -> u32 {
        let memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.get(of).map_or(0, |memory| memory.failures)
    }

    /// Remembers this of an integration.
    pub(super) fn remember(&self, of: Touched, memory: Memory) {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(of, memory);
    }

    /// Forgets integrations that no longer exist.
    pub(super) fn forget_deleted(&self) {
        let exists = |one: &Touched| self.caches.integrations.get(one).is_some();
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        memories.retain(|one, _| exists(one));
    }

    /// The span of a look, if there are traces.
    pub(super) fn span(&self, of: &Touched) -> Option<TraceSpan> {
        let span = self.settings.traces.as_ref()?;
        let span = span.open("reconcile", Kind::Internal, None);
        span.set("boboyka.kind", "BoboykaIntegration");
        span.set("boboyka.integration", of.name.clone());
        if let Some(namespace) = &of.namespace {
            span.set("k8s.namespace.name", namespace.clone());
        }
        Some(span)
    }

    /// One look; returns when to look again.
    pub(super) async fn look_at(
        &self,
        one: &GuardedIntegration,
        memory: &mut Memory,
    ) -> Result<Duration, Error> {
        match &one.0 {
            Ok(integration) => self.look_at_readable(integration, memory).await,
            Err(error) => {
                // This version can't write the status of what it can't read.
                let reference = ObjectRef::from_obj(one);
                tracing::error!(
                    integration = %reference,
                    error = error.error,
                    "could not read BoboykaIntegration {reference}: install the operator of the same version as the definitions"
                );
                Ok(LOOK_AGAIN)
            }
        }
    }

    async fn look_at_readable(
        &self,
        integration: &BoboykaIntegration,
        memory: &mut Memory,
    ) -> Result<Duration, Error> {
        let now = Moment::now();
        let before = integration.status.clone().unwrap_or_default();
        memory.belong_to(integration.metadata.uid.as_ref());
        let validated = match validate(integration, &self.settings.defaults) {
            Ok(validated) => validated,
            Err(invalid) => {
                let why = invalid.to_string();
                let status = status::invalid(integration, &before, &why, &now.time);
                self.publish(integration, &before, &status, memory).await?;
                return Ok(LOOK_AGAIN);
            }
        };
        let seen = observe(&self.caches, integration);
        memory.note(&seen, &now);
        let evidence = seen.evidence(&before, &memory.reports, &now);
        let watched = memory.watch.look(&before, now.instant);
        let moment = Now {
            time: now.time.clone(),
            watched,
            asked: memory.watch.asked(&before, now.instant),
        };
        let request = Request {
            names: seen.names(),
            ..validated.request().clone()
        };
        let standing = phases::decide(&request, &before, &evidence, &moment);
        memory.watch.note(standing.transition.as_ref());
        let listed = standing.migration.as_ref();
        let listed = listed.and_then(|it| it.legacy.as_ref());
        memory.lists.after = listed.and_then(|it| it.list(request.legacy().as_ref()));
        let grace = self.settings.grace;
        let plan = plan(&Situation::new(&validated, &seen, memory, grace, &now));
        let applied = apply(&self.client, &validated, plan, memory).await;
        let facts = Facts::new(&validated, &seen, &evidence, &standing, &applied, &now.time);
        let status = status::status(&facts, &before);
        let again = self.publish(integration, &before, &status, memory).await?;
        match applied.failures() {
            [] => Ok(again.unwrap_or(LOOK_AGAIN)),
            failures => Err(Error::Apply(failures.to_vec())),
        }
    }

    /// Writes the status if it has news; returns when to look again if it can wait.
    async fn publish(
        &self,
        integration: &BoboykaIntegration,
        before: &IntegrationStatus,
        status: &IntegrationStatus,
        memory: &mut Memory,
    ) -> Result<Option<Duration>, Error> {
        if before == status {
            memory.lists.told();
            return Ok(None);
        }
        let now = Moment::now().instant;
        let since = memory.written.map(|at| now.saturating_duration_since(at));
        let pace = status::pace(self.caches.integrations.len());
        let wait = news::wait(before, status, since, pace);
        let lists = &memory.lists;
        let publish = self.publisher.publish(integration, before, status, lists);
        if wait.is_none() && publish.await? {
            memory.written = Some(Moment::now().instant);
            memory.lists.told();
        }
        Ok(wait)
    }
}
