//! What is to be done about existing strands. Pure.

use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::{BoboykaStrand, Holder, names};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::jobs::condition;
use super::situation::Situation;
use crate::objects;
use crate::objects::job::Work;
use crate::strands::change::StrandChange;
use crate::strands::witness;

/// A strand that no pod holds is drained once its last report is this old: a pod that restarts is faster.
const ABANDONED: Duration = Duration::from_secs(30);

/// The changes of strands.
pub(super) fn changes(situation: &Situation<'_>) -> Vec<(Arc<BoboykaStrand>, StrandChange)> {
    let counter = counter(situation);
    let mut changes = Vec::new();
    for strand in situation.seen.all_strands() {
        let change = holder_change(situation, strand)
            .or_else(|| claim_to_record(situation, strand))
            .or_else(|| head_to_store(situation, strand))
            .or_else(|| counting(strand, counter.as_deref()));
        changes.extend(change.map(|change| (Arc::clone(strand), change)));
        let name = strand.metadata.name.as_deref();
        let owner = situation.owner_of(name.unwrap_or_default());
        if !situation.is_owned(&strand.metadata, owner) {
            changes.push((Arc::clone(strand), StrandChange::Own(owner.cloned())));
        }
    }
    changes
}

/// The strand whose sidecar counts foreign writes: the one that does, while a pod holds it, else the first that a pod holds
/// and that has reported. Without a Supabase there is nothing to count.
fn counter(situation: &Situation<'_>) -> Option<String> {
    situation.validated.secret.as_ref()?;
    let held = situation.seen.strands.iter().filter(|strand| {
        let holder = strand.spec.holder.as_ref();
        let uid = holder.and_then(|holder| holder.pod_uid.as_ref());
        let has_volume = strand.spec.claim_name.is_none() || situation.has_its_claim(strand);
        has_volume && uid.is_some_and(|uid| situation.has_pod(uid)) && strand.report().is_some()
    });
    let first = held.min_by_key(|strand| (!strand.spec.counts_foreign_writes, strand.name_any()));
    first.map(|strand| strand.name_any())
}

/// Makes a strand the one that counts foreign writes, or another one no longer. The last one stays until there is a next.
fn counting(strand: &BoboykaStrand, counter: Option<&str>) -> Option<StrandChange> {
    let counts = strand.spec.counts_foreign_writes;
    let wanted = counter.map_or(counts, |counter| counter == strand.name_any());
    (counts != wanted).then_some(StrandChange::CountForeign(wanted))
}

/// Strands that a Job is to work on: those with a backlog, or without any report, that no pod mirrors; and the history.
pub(super) fn awaiting_a_job(situation: &Situation<'_>) -> Vec<Arc<BoboykaStrand>> {
    if situation.validated.secret.is_none() || situation.validated.suspended {
        return Vec::new();
    }
    let strands = situation.seen.strands.iter();
    let abandoned = strands.filter(|strand| is_abandoned(situation, strand));
    let history = situation.seen.history.iter();
    let unfilled = history.filter(|strand| is_unfilled(situation, strand));
    abandoned.chain(unfilled).cloned().collect()
}

/// Strands whose fence was lifted since the last look.
pub(super) fn unfenced(situation: &Situation<'_>) -> Vec<Arc<BoboykaStrand>> {
    let was_fenced = |uid: String| situation.memory.fenced.contains(&uid);
    let strands = situation.seen.all_strands();
    let lifted = strands.filter(|one| one.fence().is_none() && one.uid().is_some_and(was_fenced));
    lifted.cloned().collect()
}

/// The change that brings a strand's holder in line with its pod.
fn holder_change(situation: &Situation<'_>, strand: &BoboykaStrand) -> Option<StrandChange> {
    match &strand.spec.holder {
        Some(holder) => held_change(situation, &strand.name_any(), holder),
        None => free_change(situation, strand),
    }
}

fn free_change(situation: &Situation<'_>, strand: &BoboykaStrand) -> Option<StrandChange> {
    if let Some(next) = successor(situation, &strand.name_any()) {
        return Some(StrandChange::Adopt(next));
    }
    let is_ephemeral = strand.spec.claim_name.is_none();
    is_ephemeral.then_some(StrandChange::Delete)
}

fn held_change(situation: &Situation<'_>, strand: &str, holder: &Holder) -> Option<StrandChange> {
    let Some(uid) = &holder.pod_uid else {
        return reserved_change(situation, strand, holder);
    };
    // Once a pod holds the strand, its UID decides: tenants can read its token.
    (!situation.has_pod(uid)).then(|| StrandChange::Release {
        pod_name: holder.pod_name.clone().unwrap_or_default(),
        pod_uid: uid.clone(),
        next: successor(situation, strand),
    })
}

/// The change of a strand that was reserved for a pod that may come.
fn reserved_change(
    situation: &Situation<'_>,
    strand: &str,
    holder: &Holder,
) -> Option<StrandChange> {
    if let Some(pod) = situation.admitted(strand, &holder.token) {
        return Some(StrandChange::Bind {
            pod_name: pod.name.clone(),
            pod_uid: pod.uid.clone(),
        });
    }
    let is_late = situation.is_older(holder.since.as_ref(), situation.grace);
    if !is_late || is_worked_on(situation, strand) {
        return None;
    }
    let take_back = || StrandChange::TakeBack {
        token: holder.token.clone(),
    };
    let next = successor(situation, strand);
    Some(next.map_or_else(take_back, StrandChange::Adopt))
}

/// The pod that carries a strand, as its holder.
fn successor(situation: &Situation<'_>, strand: &str) -> Option<Holder> {
    let carrier = situation.carrier(strand)?;
    situation.holder(carrier)
}

/// Whether an unfinished Job works on a strand.
fn is_worked_on(situation: &Situation<'_>, strand: &str) -> bool {
    situation.seen.jobs.iter().any(|job| {
        let of = job.labels().get(names::JOB_LABEL);
        of.is_some_and(|of| of == strand) && !is_finished(job)
    })
}

fn is_finished(job: &Job) -> bool {
    ["Complete", "Failed"]
        .iter()
        .any(|kind| condition(job, kind).is_some())
}

/// The claim that a strand has for the first time, or whose pod showed that the records are in it.
fn claim_to_record(situation: &Situation<'_>, strand: &BoboykaStrand) -> Option<StrandChange> {
    let claim = &situation.seen.claim(strand)?.meta;
    let uid = claim.uid.clone()?;
    match &strand.spec.claim_uid {
        None => Some(StrandChange::Claim(uid)),
        Some(recorded) if *recorded != uid && is_shown(strand, claim) => {
            Some(StrandChange::Claim(uid))
        }
        Some(_) => None,
    }
}

/// Whether a pod that came after the claim was created reports the block that was seen before.
fn is_shown(strand: &BoboykaStrand, claim: &ObjectMeta) -> bool {
    let Some(holder) = &strand.spec.holder else {
        return false;
    };
    let reported = strand.report().and_then(|status| status.pod_uid.as_ref());
    let created = claim.creation_timestamp.as_ref();
    reported.is_some()
        && reported == holder.pod_uid.as_ref()
        && holder.since.as_ref() > created
        && witness::is_proven(strand)
}

fn head_to_store(situation: &Situation<'_>, strand: &BoboykaStrand) -> Option<StrandChange> {
    let (memory, uid) = (situation.memory, strand.uid()?);
    let due = memory.store_due.get(&uid);
    let is_due = due.is_some_and(|due| *due <= situation.now.instant);
    witness::head_to_store(strand, memory.heads.get(&uid), is_due).map(StrandChange::Witness)
}

/// Whether a strand has a backlog, or may have one, and is free for a Job.
fn is_abandoned(situation: &Situation<'_>, strand: &BoboykaStrand) -> bool {
    // What a strand without a report has left to mirror is unknown.
    let since = match strand.report() {
        Some(status) if status.backlog == 0 => return false,
        Some(status) => status.reported_at.as_ref(),
        None => strand.metadata.creation_timestamp.as_ref(),
    };
    situation.is_older(since, ABANDONED) && is_free_for(Work::Drain, situation, strand)
}

/// Whether the history lacks what a backfill asks for, and is free for a Job.
fn is_unfilled(situation: &Situation<'_>, history: &BoboykaStrand) -> bool {
    let report = history.report().and_then(|status| status.backfill.as_ref());
    let tables = situation.validated.tables.as_ref();
    let lacks = |asked| !report.is_some_and(|report| report.has_done(asked, tables));
    situation.validated.backfill().is_some_and(lacks)
        && is_free_for(Work::Backfill, situation, history)
}

/// Whether a strand has its claim, no fence and no pod, and neither a pod nor a Job is on its way.
fn is_free_for(work: Work, situation: &Situation<'_>, strand: &BoboykaStrand) -> bool {
    let name = strand.name_any();
    let job = objects::job::name(work, &name);
    let mut jobs = situation.seen.jobs.iter();
    strand.spec.holder.is_none()
        && strand.fence().is_none()
        && situation.has_its_claim(strand)
        && situation.carrier(&name).is_none()
        && !jobs.any(|one| one.name_any() == job)
}
