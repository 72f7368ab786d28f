//! What a plan is made from. Pure: the time is an argument.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, Holder};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use crate::caches::Pod;
use crate::clock::{Moment, elapsed};
use crate::controller::memory::Memory;
use crate::controller::seen::Seen;
use crate::integration::Validated;
use crate::strands::witness;

/// An integration, what exists of it, and what is remembered, at one moment.
pub(in crate::controller) struct Situation<'a> {
    pub(super) validated: &'a Validated,
    pub(super) seen: &'a Seen,
    pub(super) memory: &'a Memory,
    pub(super) grace: Duration,
    pub(super) now: &'a Moment,
    by_token: HashMap<&'a str, &'a Pod>,
    by_strand: HashMap<&'a str, &'a Pod>,
    uids: HashSet<&'a str>,
    fenced: HashSet<&'a str>,
    /// Who owns the strands that nobody fenced.
    owner: Option<OwnerReference>,
}

impl<'a> Situation<'a> {
    /// `grace` is how long a strand that was given at admission waits for its pod.
    pub(in crate::controller) fn new(
        validated: &'a Validated,
        seen: &'a Seen,
        memory: &'a Memory,
        grace: Duration,
        now: &'a Moment,
    ) -> Self {
        let pods = || seen.pods.iter().map(|pod| &**pod);
        let by_token = pods().filter_map(|pod| Some((pod.token.as_deref()?, pod)));
        // Of several carriers the last stays: one that runs agents before one of a Job, one that stays before one that
        // goes.
        let mut carriers: Vec<(&str, &Pod)> = pods()
            .filter_map(|pod| Some((pod.strand.as_deref()?, pod)))
            .collect();
        carriers.sort_by_key(|(_, pod)| (!pod.terminating, !pod.of_job));
        let fenced = seen.all_strands().filter(|one| one.fence().is_some());
        Self {
            validated,
            seen,
            memory,
            grace,
            now,
            by_token: by_token.collect(),
            by_strand: carriers.into_iter().collect(),
            uids: pods().map(|pod| pod.uid.as_str()).collect(),
            fenced: fenced
                .filter_map(|one| one.metadata.name.as_deref())
                .collect(),
            owner: validated.owner_of_strands(),
        }
    }

    /// The pod that was admitted with a strand and a token.
    pub(super) fn admitted(&self, strand: &str, token: &str) -> Option<&'a Pod> {
        let pod = self.by_token.get(token).copied();
        pod.filter(|pod| pod.strand.as_deref() == Some(strand))
    }

    /// The pod that carries a strand.
    pub(super) fn carrier(&self, strand: &str) -> Option<&'a Pod> {
        self.by_strand.get(strand).copied()
    }

    /// Every strand that a pod carries, with the pod.
    pub(super) fn carriers(&self) -> impl Iterator<Item = (&'a str, &'a Pod)> {
        let mut carriers: Vec<_> = self
            .by_strand
            .iter()
            .map(|(strand, pod)| (*strand, *pod))
            .collect();
        carriers.sort_by_key(|(strand, _)| *strand);
        carriers.into_iter()
    }

    /// Whether a strand has a claim, and the volume that it had before.
    pub(super) fn has_its_claim(&self, strand: &BoboykaStrand) -> bool {
        let claim = self.seen.claim(strand);
        claim.is_some() && witness::check_claim(strand, claim).is_ok()
    }

    /// Whether a pod of this UID exists.
    pub(super) fn has_pod(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }

    /// A pod as the holder of the strand that it carries.
    pub(super) fn holder(&self, pod: &Pod) -> Option<Holder> {
        Some(Holder {
            token: pod.token.clone()?,
            since: Some(self.now.time.clone()),
            pod_name: Some(pod.name.clone()),
            pod_uid: Some(pod.uid.clone()),
        })
    }

    /// Whether the history is to be filled: a backfill is asked for, there is a Supabase, and the operator may work.
    pub(super) fn backfills(&self) -> bool {
        let validated = self.validated;
        validated.backfill().is_some() && validated.secret.is_some() && !validated.suspended
    }

    /// Whether the strand of this name is fenced.
    pub(super) fn is_fenced(&self, strand: &str) -> bool {
        self.fenced.contains(strand)
    }

    /// Who owns the strand of this name and its claim. Nobody while it is fenced: it stays when its integration is deleted.
    pub(super) fn owner_of(&self, strand: &str) -> Option<&OwnerReference> {
        self.owner.as_ref().filter(|_| !self.is_fenced(strand))
    }

    /// Whether a time is longer ago than an age; an unknown time is.
    pub(super) fn is_older(&self, since: Option<&Time>, age: Duration) -> bool {
        since.is_none_or(|since| elapsed(since, &self.now.time) > age)
    }

    /// Whether an object has the wanted owner among integrations of this name; other owners don't count.
    pub(super) fn is_owned(&self, meta: &ObjectMeta, wanted: Option<&OwnerReference>) -> bool {
        let name = &self.validated.owner.name;
        let owners = meta.owner_references.iter().flatten();
        let mut ours = owners.filter(|one| one.kind == "BoboykaIntegration" && one.name == *name);
        match wanted {
            Some(wanted) => ours.any(|one| one.uid == wanted.uid),
            None => ours.next().is_none(),
        }
    }
}
