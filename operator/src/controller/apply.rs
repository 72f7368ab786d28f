//! Applies a plan. Writer: through `strands::writer`, `label`, and the files below.
//!
//! Every write of a plan is tried. A failure is recorded, and the next look plans the write again.

mod applied;
mod objects;
mod sidecars;

use std::sync::Arc;

use boboyka_crds::BoboykaStrand;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, ResourceExt as _};

pub(super) use self::applied::Applied;
use super::label::label;
use super::memory::{Memory, Refused};
use super::plan::Plan;
use super::plan::jobs::Ending;
use super::workload::Workload;
use crate::causes::causes;
use crate::clock::Moment;
use crate::integration::{Storage, Validated};
use crate::strands::change::StrandChange;
use crate::strands::witness;
use crate::strands::writer::Writer;
use crate::writes::{Outcome, is_conflict, is_outdated};

/// Writes at a time: a fleet that starts at once is bound within seconds, and the API server is not flooded.
const CONCURRENT_WRITES: usize = 8;

/// Applies a plan.
pub(super) async fn apply(
    client: &Client,
    validated: &Validated,
    plan: Plan,
    memory: &mut Memory,
) -> Applied {
    let Plan {
        bind_role,
        change,
        start,
        end,
        unfenced,
        make,
        claim,
        own_claims,
        overlaps,
        resize,
        select,
        deselect,
        rollout,
    } = plan;
    let mut work = Work {
        client,
        validated,
        writer: Writer::new(client, validated),
        failures: Vec::new(),
        contested: Vec::new(),
    };
    if bind_role {
        work.bind_role(memory).await;
    }
    work.make(&make).await;
    work.change(&change, memory).await;
    work.start(&start).await;
    work.end(&end, memory).await;
    work.wake(&unfenced, memory).await;
    work.claim(&claim, &own_claims).await;
    work.resize(&resize, memory).await;
    work.select(&select, memory).await;
    work.deselect(&deselect, memory).await;
    let rolled = sidecars::roll(client, validated, &rollout).await;
    work.note(rolled, || "move a sidecar to its new image".to_owned());
    Applied {
        rollout,
        failures: work.failures,
        contested: work.contested,
        overlaps,
    }
}

/// The work on one integration, and what came of it so far.
struct Work<'a> {
    client: &'a Client,
    validated: &'a Validated,
    writer: Writer<'a>,
    failures: Vec<String>,
    contested: Vec<String>,
}

impl Work<'_> {
    /// Whether a write succeeded. An object that is gone or changed meanwhile is no failure: the next look sees it.
    fn note(&mut self, outcome: Outcome, doing: impl FnOnce() -> String) -> bool {
        match outcome {
            Ok(()) => true,
            Err(error) if is_outdated(&error) => false,
            Err(error) => {
                let failure = format!("could not {}: {}", doing(), causes(&error));
                self.failures.push(failure);
                false
            }
        }
    }

    async fn bind_role(&mut self, memory: &mut Memory) {
        let bound = objects::bind_role(self.client, self.validated).await;
        let ok = self.note(bound, || "apply the sidecars' role binding".to_owned());
        memory.bound = ok.then(|| (Moment::now().instant, self.validated.generation));
    }

    async fn make(&mut self, strands: &[BoboykaStrand]) {
        let writer = &self.writer;
        let written = strands.iter().map(|strand| writer.make(strand).boxed());
        let outcomes = concurrently(written.collect()).await;
        for (strand, outcome) in strands.iter().zip(outcomes) {
            let name = strand.name_any();
            self.note(outcome, || format!("create strand {name} and its claim"));
        }
    }

    async fn change(
        &mut self,
        changes: &[(Arc<BoboykaStrand>, StrandChange)],
        memory: &mut Memory,
    ) {
        let writer = &self.writer;
        let written = changes
            .iter()
            .map(|(strand, change)| writer.change(strand, change).boxed());
        let outcomes = concurrently(written.collect()).await;
        for ((strand, change), outcome) in changes.iter().zip(outcomes) {
            let ok = self.note(outcome, || format!("change strand {}", strand.name_any()));
            if ok && matches!(change, StrandChange::Witness(_)) {
                let next = Moment::now().instant + witness::STORE_INTERVAL;
                memory.store_due.extend(strand.uid().map(|uid| (uid, next)));
            }
        }
    }

    /// Starts a Job on each of these strands.
    async fn start(&mut self, strands: &[Arc<BoboykaStrand>]) {
        let (writer, client, validated) = (&self.writer, self.client, self.validated);
        let written = strands.iter().map(|strand| {
            let reserved = writer.reserve(strand);
            async move { objects::start(client, validated, &reserved.await?).await }.boxed()
        });
        let outcomes = concurrently(written.collect()).await;
        for (strand, outcome) in strands.iter().zip(outcomes) {
            let name = strand.name_any();
            self.note(outcome, || format!("start the Job of strand {name}"));
        }
    }

    async fn end(&mut self, jobs: &[(Arc<Job>, String, Ending)], memory: &mut Memory) {
        for (job, strand, why) in jobs {
            let ended = objects::end(self.client, self.validated, job, strand, *why).await;
            let ok = self.note(ended, || format!("delete Job {}", job.name_any()));
            match why {
                Ending::Failed if ok => {
                    *memory.job_failures.entry(strand.clone()).or_default() += 1;
                }
                Ending::Failed => {}
                // What failed before says nothing of other settings, or of a strand that was drained or has a pod.
                Ending::Wanted
                | Ending::Fenced
                | Ending::Changed
                | Ending::Unasked
                | Ending::Done => {
                    memory.job_failures.remove(strand);
                }
            }
        }
    }

    /// Wakes the StatefulSets whose pods waited for a fence to be lifted.
    async fn wake(&mut self, unfenced: &[Arc<BoboykaStrand>], memory: &mut Memory) {
        for strand in unfenced {
            let (name, namespace) = (strand.name_any(), &self.validated.namespace);
            let woken = match &strand.spec.slot {
                Some(slot) => objects::wake(self.client, namespace, slot).await,
                None => Ok(()),
            };
            if self.note(woken, || format!("wake what waits for strand {name}")) {
                strand.uid().map(|uid| memory.fenced.remove(&uid));
            }
        }
    }

    async fn claim(
        &mut self,
        unclaimed: &[Arc<BoboykaStrand>],
        own: &[(String, Option<OwnerReference>)],
    ) {
        let writer = &self.writer;
        let made = unclaimed
            .iter()
            .map(|strand| writer.make_claim(strand).boxed());
        let made = concurrently(made.collect()).await;
        let owned = own
            .iter()
            .map(|(claim, owner)| writer.own_claim(claim, owner.as_ref()).boxed());
        let owned = concurrently(owned.collect()).await;
        for (strand, outcome) in unclaimed.iter().zip(made) {
            let name = strand.name_any();
            self.note(outcome, || format!("create the claim of strand {name}"));
        }
        for ((claim, _), outcome) in own.iter().zip(owned) {
            self.note(outcome, || format!("change the owner of claim {claim}"));
        }
    }

    /// Requests the size on claims, each by itself.
    async fn resize(&mut self, claims: &[String], memory: &mut Memory) {
        let (now, generation) = (Moment::now().instant, self.validated.generation);
        let (Storage::Claim { size, .. }, false) = (&self.validated.storage, claims.is_empty())
        else {
            return;
        };
        let refused = memory.refused.take();
        if let Some(refused) = refused.filter(|one| one.stands(generation, now)) {
            self.failures.extend_from_slice(&refused.failures);
            memory.refused = Some(refused);
            return;
        }
        let writer = &self.writer;
        let written = claims
            .iter()
            .map(|claim| writer.resize_claim(claim, size).boxed());
        let outcomes = concurrently(written.collect()).await;
        let before = self.failures.len();
        for (claim, outcome) in claims.iter().zip(outcomes) {
            self.note(outcome, || {
                format!("request spec.storage.size on claim {claim}")
            });
        }
        let failures: Vec<String> = self.failures.iter().skip(before).cloned().collect();
        memory.refused = (!failures.is_empty()).then_some(Refused {
            at: now,
            generation,
            failures,
        });
    }

    async fn select(&mut self, workloads: &[Workload], memory: &mut Memory) {
        let (namespace, name) = (&self.validated.namespace, &self.validated.name);
        for workload in workloads {
            match label(self.client, namespace, workload, Some(name)).await {
                Ok(generation) => {
                    memory.selected.insert(workload.uid.clone(), generation);
                }
                Err(error) if is_conflict(&error) => self.contested.push(workload.to_string()),
                Err(error) => {
                    self.note(Err(error), || format!("set the label on {workload}"));
                }
            }
        }
    }

    async fn deselect(&mut self, workloads: &[Workload], memory: &mut Memory) {
        for workload in workloads {
            let namespace = &self.validated.namespace;
            let removed = label(self.client, namespace, workload, None).await;
            self.note(removed.map(drop), || {
                format!("remove the label from {workload}")
            });
            memory.selected.remove(&workload.uid);
        }
    }
}

/// Awaits writes, some at a time; their outcomes in the same order.
async fn concurrently(writes: Vec<BoxFuture<'_, Outcome>>) -> Vec<Outcome> {
    futures_util::stream::iter(writes)
        .buffered(CONCURRENT_WRITES)
        .collect()
        .await
}
