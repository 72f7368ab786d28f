//! The check of the archive. Pure.

use std::collections::BTreeSet;

use boboyka_crds::{
    Archive, ArchiveCounts, ArchiveReport, BoboykaStrand, Place, StrandStatus, archive_after,
};
use kube::ResourceExt as _;

use super::facts::Facts;
use super::finding::{Finding, some_of};
use crate::reason::Reason;

/// How the archive of one strand stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand<'a> {
    /// It has what is due.
    Holds,
    /// It can't be written to, and the code of the reason.
    Fails(&'a str),
    /// What is due waits for far too long.
    Behind,
    /// Its sidecar has not reported of this archive.
    Unknown,
    /// No pod holds the strand, and the archive is not known to have all of it.
    Unheld,
}

/// Whether the archive has what is due of every strand; nothing without an archive.
pub(super) fn archived(facts: &Facts<'_>) -> Option<Finding> {
    let strands = stands(facts)?;
    let named = |told: &dyn Fn(Stand<'_>) -> Option<String>| -> Vec<String> {
        let strands = strands.iter();
        strands
            .filter_map(|(strand, stand)| Some(format!("{}{}", strand.name_any(), told(*stand)?)))
            .collect()
    };
    let are = |one: Stand<'_>| named(&|stand| (stand == one).then(String::new));
    let failing = named(&|stand| match stand {
        Stand::Fails(code) => Some(format!(" ({code})")),
        Stand::Holds | Stand::Behind | Stand::Unknown | Stand::Unheld => None,
    });
    if !failing.is_empty() {
        let message = format!(
            "these strands can't be archived: {}; nothing of them is pruned that was not archived before",
            some_of(&failing)
        );
        return Some(Finding::no(Reason::ArchiveFails, message));
    }
    let unknown = are(Stand::Unknown);
    if !unknown.is_empty() {
        let message = format!(
            "the sidecars of these strands have not reported of this archive: {}; one that is older than spec.archive \
             archives nothing, and its retention does not wait: set its image",
            some_of(&unknown)
        );
        return Some(Finding {
            holds: None,
            ..Finding::no(Reason::ArchiveNotReported, message)
        });
    }
    let behind = are(Stand::Behind);
    if !behind.is_empty() {
        let message = format!(
            "the archive is more than ten minutes behind with these strands: {}",
            some_of(&behind)
        );
        return Some(Finding::no(Reason::ArchiveBehind, message));
    }
    let unheld = are(Stand::Unheld);
    let message = match unheld.len() {
        0 => "no sidecar that has reported is more than ten minutes behind with its archive"
            .to_owned(),
        _ => format!(
            "no sidecar that has reported is more than ten minutes behind with its archive; these strands have no pod and go on when one holds them: {}",
            some_of(&unheld)
        ),
    };
    Some(Finding::yes(Reason::AsExpected, message))
}

/// The same in numbers.
pub(super) fn counts(facts: &Facts<'_>) -> Option<ArchiveCounts> {
    let mut counts = ArchiveCounts::default();
    for (_, stand) in stands(facts)? {
        match stand {
            Stand::Holds => {}
            Stand::Fails(_) => counts.failing += 1,
            Stand::Behind => counts.behind += 1,
            Stand::Unknown => counts.unknown += 1,
            Stand::Unheld => counts.unheld += 1,
        }
    }
    Some(counts)
}

fn stands<'a>(facts: &'a Facts<'_>) -> Option<Vec<(&'a BoboykaStrand, Stand<'a>)>> {
    let archive = facts.validated.archive.as_ref()?;
    // A Job holds its strand to mirror it, and archives nothing.
    let of_jobs = facts.seen.pods.iter().filter(|pod| pod.of_job);
    let drained: BTreeSet<&str> = of_jobs.filter_map(|pod| pod.strand.as_deref()).collect();
    let strands = facts.seen.strands.iter();
    let found = strands.filter_map(|strand| {
        let is_held = strand.spec.holder.is_some() && !drained.contains(&*strand.name_any());
        let stand = if is_held {
            held(strand, archive)?
        } else {
            unheld(strand, archive)?
        };
        Some((&**strand, stand))
    });
    Some(found.collect())
}

/// `None` while no sidecar has reported: another condition tells.
fn held<'a>(strand: &'a BoboykaStrand, archive: &Archive) -> Option<Stand<'a>> {
    let status = strand.report()?;
    // The report of a pod before this one says nothing of this one.
    if status.pod_uid.as_deref() != holder(strand) {
        return None;
    }
    let Some(report) = report(status, archive) else {
        return Some(Stand::Unknown);
    };
    if let Some(code) = &report.fault {
        return Some(Stand::Fails(code));
    }
    let after = archive_after(&archive.after).unwrap_or_default();
    let mut reported_at = status.reported_at.iter();
    let is_behind = reported_at.any(|at| report.is_behind(after, at));
    Some(if is_behind {
        Stand::Behind
    } else {
        Stand::Holds
    })
}

fn unheld<'a>(strand: &'a BoboykaStrand, archive: &Archive) -> Option<Stand<'a>> {
    let status = strand.report()?;
    let head = status.head.as_ref().map_or(0, |head| head.seq);
    let archived = report(status, archive).map_or(0, |report| report.archived_seq);
    // The last report of a pod that was killed says nothing of what came after it.
    let is_last = !status.ready;
    Some(if is_last && archived >= head {
        Stand::Holds
    } else {
        Stand::Unheld
    })
}

/// What a sidecar reports of this archive.
fn report<'a>(status: &'a StrandStatus, archive: &Archive) -> Option<&'a ArchiveReport> {
    let report = status.archive.as_ref();
    report.filter(|report| is_of(report, archive))
}

fn holder(strand: &BoboykaStrand) -> Option<&str> {
    strand.spec.holder.as_ref()?.pod_uid.as_deref()
}

/// Whether a sidecar reports of this archive, and not of one that the integration had before.
fn is_of(report: &ArchiveReport, archive: &Archive) -> bool {
    let place: Result<Place, _> = archive.url.parse();
    // What it can't read it names with a failure.
    report.url.is_empty() || place.is_ok_and(|place| place.to_string() == report.url)
}
