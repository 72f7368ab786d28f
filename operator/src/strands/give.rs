//! Gives strands to pods at their admission: reserves a free one, and tries the next when another pod was faster.
//!
//! A free strand is reserved before the pod is admitted, with the version that was read, so of two pods that want one strand
//! one loses and tries another. Nothing else is written: a new strand is only a name that the pod carries, and an ordinal's
//! strand waits for its pod. Dry runs write nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use boboyka_crds::BoboykaStrand;
use kube::{Client, ResourceExt as _};

use super::choice::{Candidates, choose, fits, fresh_name, is_own, name_of_ordinal};
use super::given::Given;
use super::held::Held;
use super::placement::{Place, judge};
use super::refusal::{Refusal, api_error};
use super::requester::Requester;
use super::throttle::Throttle;
use super::witness;
use super::writer::Writer;
use crate::caches::{Caches, Claim, Topology};
use crate::integration::{Storage, Validated};
use crate::token::new_token;

/// After this many strands that other pods took first, a pod gets a new one.
const ATTEMPTS: usize = 16;
/// A pod's search writes so often to a strand that changes and is still free, over all such strands: it must not wait long.
const WRITES: usize = 16;
/// At most this many pods are looked up for one admission, which must not take long.
const LOOKUPS_MAX: usize = 4;
/// Letters and digits at the end of a new strand's name: no two of a billion pods get the same in a lifetime of pods.
const CHANCE: usize = 8;

/// Gives strands to pods, on every replica.
pub(crate) struct Giver {
    client: Client,
    caches: Caches,
    given: Given,
    throttle: Throttle,
}

impl Giver {
    /// Gives strands that are in the caches.
    pub(crate) fn new(client: Client, caches: Caches) -> Self {
        Self {
            client,
            caches,
            given: Given::default(),
            throttle: Throttle::default(),
        }
    }

    /// Gives a strand to a pod; a dry run only says which.
    pub(crate) async fn give(
        &self,
        integration: &Validated,
        requester: &Requester,
        dry_run: bool,
    ) -> Result<Held, Refusal> {
        let token = new_token();
        let strand = match (&integration.storage, requester.ordinal()) {
            (Storage::Claim { .. }, Some(slot)) => {
                let strand = name_of_ordinal(&integration.name, slot);
                self.refuse_if_fenced(&integration.namespace, &strand)?;
                strand
            }
            (Storage::Ephemeral { .. }, _) => new_name(integration, requester),
            (Storage::Claim { .. }, None) => {
                let search = Search {
                    giver: self,
                    writer: Writer::new(&self.client, integration),
                    integration,
                    requester,
                };
                let reserved = search.run(&token, dry_run).await?;
                reserved.unwrap_or_else(|| new_name(integration, requester))
            }
        };
        Ok(Held { strand, token })
    }

    /// Refuses a pod whose only strand is fenced, as far as the cache knows: a pod that is faster is its holder.
    fn refuse_if_fenced(&self, namespace: &str, strand: &str) -> Result<(), Refusal> {
        let found = self.caches.strands.get(namespace, strand);
        let fence = found.and_then(|found| found.spec.fenced.clone());
        fence.map_or(Ok(()), |fence| {
            Err(Refusal::Fenced {
                strand: strand.to_owned(),
                namespace: namespace.to_owned(),
                fence: Box::new(fence),
            })
        })
    }
}

/// A name that only this pod carries.
fn new_name(integration: &Validated, requester: &Requester) -> String {
    let chance = std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase());
    let chance: String = chance.take(CHANCE).collect();
    fresh_name(&integration.name, requester.slot.as_ref(), &chance)
}

/// The search for one pod's strand.
struct Search<'a> {
    giver: &'a Giver,
    writer: Writer<'a>,
    integration: &'a Validated,
    requester: &'a Requester,
}

impl Search<'_> {
    /// Reserves a free strand; its name, or `None` if no free strand fits.
    async fn run(&self, token: &str, dry_run: bool) -> Result<Option<String>, Refusal> {
        let mut lost = HashSet::new();
        let mut retries = WRITES - 1;
        for _ in 0..ATTEMPTS {
            let mut candidates = self.candidates().await?;
            candidates.passed_over.extend(lost.iter().cloned());
            let Some(strand) = self.choose(&candidates) else {
                return Ok(None);
            };
            let held = Held {
                strand: strand.name_any(),
                token: token.to_owned(),
            };
            if dry_run || self.try_reserve(&strand, &held, &mut retries).await? {
                return Ok(Some(held.strand));
            }
            lost.insert(held.strand);
        }
        Ok(None)
    }

    /// Chooses one that has its volume, where the pod may run, as far as the operator may know. A pod would wait for ever for
    /// a volume that is gone, or begin with an empty one.
    fn choose(&self, candidates: &Candidates) -> Option<Arc<BoboykaStrand>> {
        let placement = &self.requester.placement;
        let topology = self.giver.caches.known_topology();
        let nodes = || topology.map_or_else(Vec::new, |all| all.nodes(|one| placement.admits(one)));
        let reaches = judge(placement, nodes);
        choose(self.requester, candidates, |strand| {
            let claim = self.claim_of(strand);
            witness::check_claim(strand, claim.as_deref()).is_ok()
                && reaches(&place_of(claim.as_deref(), topology))
        })
    }

    fn claim_of(&self, strand: &BoboykaStrand) -> Option<Arc<Claim>> {
        let name = strand.spec.claim_name.as_deref()?;
        let claims = &self.giver.caches.claims;
        claims.get(&self.integration.namespace, name)
    }

    async fn candidates(&self) -> Result<Candidates, Refusal> {
        let (namespace, giver) = (&self.integration.namespace, self.giver);
        let strands = giver.caches.strands_of(namespace, &self.integration.name);
        Ok(Candidates {
            passed_over: giver.given.not_yet_known(namespace, &strands),
            gone: self.gone_holders(&strands).await?,
            strands,
        })
    }

    /// UIDs of the holders of fitting strands that no longer exist. A holder may be gone before the cache knows, and its
    /// successor asks now: then the API server is asked. That is where the cache says that the holder goes, and where the
    /// strand is the pod's own, but not where a large workload has many of these: each of its pods would ask.
    async fn gone_holders(
        &self,
        strands: &[Arc<BoboykaStrand>],
    ) -> Result<HashSet<String>, Refusal> {
        let caches = &self.giver.caches;
        let mut gone = HashSet::new();
        let (mut going, mut own) = (Vec::new(), Vec::new());
        for strand in strands.iter().filter(|one| fits(self.requester, one)) {
            let Some(holder) = &strand.spec.holder else {
                continue;
            };
            let (Some(name), Some(uid)) = (&holder.pod_name, &holder.pod_uid) else {
                continue;
            };
            let pod = caches.pods.get(&self.integration.namespace, name);
            let stays = pod.is_some_and(|pod| pod.uid == *uid && !pod.terminating);
            if caches.changes.is_gone(uid) {
                gone.insert(uid.clone());
            } else if !stays {
                going.push((name, uid));
            } else if is_own(self.requester, strand) {
                own.push((name, uid));
            }
        }
        if own.len() <= LOOKUPS_MAX {
            going.append(&mut own);
        }
        for (name, uid) in going.into_iter().take(LOOKUPS_MAX) {
            let alive = self.writer.is_pod_alive(name, uid).await;
            if !alive.map_err(api_error(format!("read pod {name}")))? {
                gone.insert(uid.clone());
            }
        }
        Ok(gone)
    }

    /// Writes a reservation; whether the strand is the pod's then.
    async fn try_reserve(
        &self,
        strand: &Arc<BoboykaStrand>,
        held: &Held,
        retries: &mut usize,
    ) -> Result<bool, Refusal> {
        let namespace = &self.integration.namespace;
        let giver = self.giver;
        if !giver.throttle.admit(namespace, Instant::now()) {
            return Err(Refusal::Throttled(namespace.clone()));
        }
        let Some(giving) = giver.given.begin(format!("{namespace}/{}", held.strand)) else {
            return Ok(false);
        };
        let written = self.reserve(Arc::clone(strand), held, retries).await?;
        if let Some(written) = &written {
            giving.end(written);
        }
        Ok(written.is_some())
    }

    /// Reserves a strand as it was read; the strand as it was written. A write that comes too late says that the strand
    /// changed, perhaps by the last report of the sidecar that left it: it is lost when the API server shows it with another
    /// holder, and tried again as long as it is free there.
    async fn reserve(
        &self,
        mut strand: Arc<BoboykaStrand>,
        held: &Held,
        retries: &mut usize,
    ) -> Result<Option<BoboykaStrand>, Refusal> {
        loop {
            let written = self.write(&strand, held).await?;
            if written.is_some() || *retries == 0 {
                return Ok(written);
            }
            *retries -= 1;
            let Some(free) = self.free_now(&held.strand).await? else {
                return Ok(None);
            };
            strand = free;
        }
    }

    /// A strand as the API server has it now, if it is free there.
    async fn free_now(&self, name: &str) -> Result<Option<Arc<BoboykaStrand>>, Refusal> {
        let found = self.writer.read(name).await;
        let found = found.map_err(api_error(format!("read strand {name}")))?;
        let ours = found.filter(|found| found.spec.integration == self.integration.name);
        let strands: Vec<_> = ours.into_iter().map(Arc::new).collect();
        let candidates = Candidates {
            gone: self.gone_holders(&strands).await?,
            strands,
            ..Candidates::default()
        };
        Ok(self.choose(&candidates))
    }

    async fn write(
        &self,
        strand: &BoboykaStrand,
        held: &Held,
    ) -> Result<Option<BoboykaStrand>, Refusal> {
        let given = self.writer.give(strand, self.requester, held).await;
        given.map_err(api_error(format!("reserve strand {}", strand.name_any())))
    }
}

/// Where the volume of a claim lies.
fn place_of(claim: Option<&Claim>, topology: Option<&Topology>) -> Place {
    let (Some(claim), Some(topology)) = (claim, topology) else {
        return Place::Anywhere;
    };
    match (&claim.volume, &claim.node) {
        (Some(volume), _) => topology
            .terms_of(volume)
            .map_or(Place::Anywhere, Place::Terms),
        (None, Some(node)) => Place::Node(node.clone()),
        (None, None) => Place::Anywhere,
    }
}

#[cfg(test)]
mod tests;
