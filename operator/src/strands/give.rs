//! Gives strands to pods at their admission: chooses one, writes it, and tries the next when another pod was faster.
//!
//! A choice is written before the pod is admitted, with the version that was read, so of two pods that want one strand
//! one loses and tries another strand. Dry runs write nothing.

use std::collections::HashSet;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, BoboykaStrandSpec};
use kube::{Client, ResourceExt as _};

use super::choice::{Candidates, Choice, Requester, choose, new_name};
use super::given::Given;
use super::held::{Held, new_token};
use super::ledger::Ledger;
use super::refusal::{Refusal, api_error};
use crate::caches::Caches;
use crate::clock;
use crate::integration::{Storage, Validated};
use crate::objects;
use crate::writes::is_conflict;

/// After this many strands that other pods took first, a pod is refused.
const ATTEMPTS: usize = 16;
/// At most this many pods are looked up for one admission, which must not take long.
const LOOKUPS_MAX: usize = 4;

/// Gives strands to pods, on every replica.
pub(crate) struct Giver {
    client: Client,
    caches: Caches,
    given: Given,
}

impl Giver {
    /// Gives strands that are in the caches.
    pub(crate) fn new(client: Client, caches: Caches) -> Self {
        Self {
            client,
            caches,
            given: Given::default(),
        }
    }

    /// Gives a strand to a pod; a dry run only says which.
    pub(crate) async fn give(
        &self,
        integration: &Validated,
        requester: &Requester,
        dry_run: bool,
    ) -> Result<Held, Refusal> {
        let search = Search {
            caches: &self.caches,
            given: &self.given,
            ledger: Ledger::new(&self.client, integration),
            integration,
            requester,
        };
        search.run(dry_run).await
    }

    /// Checks that a pod that carries our annotations was given the strand that they name.
    pub(crate) async fn check(&self, integration: &Validated, held: &Held) -> Result<(), Refusal> {
        let ledger = Ledger::new(&self.client, integration);
        let found = ledger.read(&held.strand).await;
        let found = found.map_err(api_error(format!("read strand {}", held.strand)))?;
        let holder = found.and_then(|strand| strand.spec.holder);
        let holds =
            holder.is_some_and(|holder| holder.token == held.token && holder.pod_uid.is_none());
        holds
            .then_some(())
            .ok_or_else(|| Refusal::NotHeld(held.strand.clone()))
    }
}

/// The search for one pod's strand.
struct Search<'a> {
    caches: &'a Caches,
    given: &'a Given,
    ledger: Ledger<'a>,
    integration: &'a Validated,
    requester: &'a Requester,
}

impl Search<'_> {
    async fn run(&self, dry_run: bool) -> Result<Held, Refusal> {
        let token = new_token();
        let mut lost = HashSet::new();
        for _ in 0..ATTEMPTS {
            let mut candidates = self.candidates().await?;
            candidates.passed_over.extend(lost.iter().cloned());
            let choice = self.choose(&candidates);
            let held = Held {
                strand: choice.name(),
                token: token.clone(),
            };
            if dry_run || self.try_give(choice, &held).await? {
                return Ok(held);
            }
            if !self.requester.needs_one_strand() {
                lost.insert(held.strand);
            }
        }
        Err(Refusal::Contended { attempts: ATTEMPTS })
    }

    fn choose(&self, candidates: &Candidates) -> Choice {
        let name = &self.integration.name;
        match self.integration.storage {
            Storage::Claim { .. } => choose(name, self.requester, candidates),
            Storage::Ephemeral { .. } => Choice::Make(new_name(name, self.requester, candidates)),
        }
    }

    async fn candidates(&self) -> Result<Candidates, Refusal> {
        let namespace = &self.integration.namespace;
        let (strands, passed_over) = if self.requester.needs_one_strand() {
            (self.only_candidate().await?, HashSet::new())
        } else {
            let strands = self.caches.strands_of(namespace, &self.integration.name);
            let passed_over = self.given.not_yet_known(namespace, &strands);
            (strands, passed_over)
        };
        let gone = self.gone_holders(&strands).await?;
        Ok(Candidates {
            strands,
            gone,
            passed_over,
        })
    }

    /// The one strand that will do, as the API server has it now: there is no other to fall back on.
    async fn only_candidate(&self) -> Result<Vec<Arc<BoboykaStrand>>, Refusal> {
        let nothing = Candidates::default();
        let name = new_name(&self.integration.name, self.requester, &nothing);
        let found = self.read(&name).await?;
        Ok(found.into_iter().map(Arc::new).collect())
    }

    /// UIDs of the holders of fitting strands that no longer exist. A holder that was terminating may be gone before the
    /// cache knows, and its successor asks now: then the API server is asked.
    async fn gone_holders(
        &self,
        strands: &[Arc<BoboykaStrand>],
    ) -> Result<HashSet<String>, Refusal> {
        let mut gone = HashSet::new();
        let mut lookups = 0;
        for strand in strands.iter().filter(|one| self.requester.fits(one)) {
            let Some(holder) = &strand.spec.holder else {
                continue;
            };
            let (Some(name), Some(uid)) = (&holder.pod_name, &holder.pod_uid) else {
                continue;
            };
            if self.caches.changes.is_gone(uid) {
                gone.insert(uid.clone());
                continue;
            }
            let cached = self.caches.pods.get(&self.integration.namespace, name);
            let stays = cached.is_some_and(|pod| pod.uid == *uid && !pod.terminating);
            if stays || lookups == LOOKUPS_MAX {
                continue;
            }
            lookups += 1;
            let alive = self.ledger.is_pod_alive(name, uid).await;
            if !alive.map_err(api_error(format!("read pod {name}")))? {
                gone.insert(uid.clone());
            }
        }
        Ok(gone)
    }

    /// Writes a choice; whether the strand is the pod's then.
    async fn try_give(&self, choice: Choice, held: &Held) -> Result<bool, Refusal> {
        let key = format!("{}/{}", self.integration.namespace, held.strand);
        if !self.given.begin(&key) {
            return Ok(false);
        }
        let written = match choice {
            Choice::Take(strand) => self.take(&strand, held).await,
            Choice::Make(name) => self.make(&name, held).await,
        };
        let strand = written.as_ref().ok().and_then(Option::as_ref);
        self.given.end(key, strand);
        Ok(written?.is_some())
    }

    async fn take(
        &self,
        strand: &BoboykaStrand,
        held: &Held,
    ) -> Result<Option<BoboykaStrand>, Refusal> {
        match self.write(strand, held).await? {
            Some(given) => Ok(Some(given)),
            // It changed, perhaps only by the last report of the sidecar that left it.
            None => self.take_as_it_is(held).await,
        }
    }

    async fn make(&self, name: &str, held: &Held) -> Result<Option<BoboykaStrand>, Refusal> {
        let spec = BoboykaStrandSpec {
            slot: self.requester.slot.clone(),
            workload: self.requester.workload.clone(),
            holder: Some(held.holder(clock::now())),
            ..BoboykaStrandSpec::default()
        };
        let strand = objects::strand::new(self.integration, name, spec);
        let (made, claimed) =
            tokio::join!(self.ledger.make(&strand), self.ledger.make_claim(&strand));
        // An existing claim holds the strand of an earlier integration of this name.
        if let Err(error) = claimed
            && !is_conflict(&error)
        {
            return Err(api_error(format!("create the claim of strand {name}"))(
                error,
            ));
        }
        match made {
            Ok(made) => Ok(Some(made)),
            Err(error) if is_conflict(&error) => self.take_as_it_is(held).await,
            Err(error) => Err(api_error(format!("create strand {name}"))(error)),
        }
    }

    /// Takes a strand that is not as the cache shows it, if it is free as the API server has it now.
    async fn take_as_it_is(&self, held: &Held) -> Result<Option<BoboykaStrand>, Refusal> {
        let found = self.read(&held.strand).await?;
        let ours = found.filter(|found| found.spec.integration == self.integration.name);
        let strands: Vec<_> = ours.into_iter().map(Arc::new).collect();
        let candidates = Candidates {
            gone: self.gone_holders(&strands).await?,
            strands,
            ..Candidates::default()
        };
        match choose(&self.integration.name, self.requester, &candidates) {
            Choice::Take(found) => self.write(&found, held).await,
            Choice::Make(_) => Ok(None),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<BoboykaStrand>, Refusal> {
        let found = self.ledger.read(name).await;
        found.map_err(api_error(format!("read strand {name}")))
    }

    async fn write(
        &self,
        strand: &BoboykaStrand,
        held: &Held,
    ) -> Result<Option<BoboykaStrand>, Refusal> {
        let given = self.ledger.give(strand, self.requester, held).await;
        given.map_err(api_error(format!("give strand {}", strand.name_any())))
    }
}
