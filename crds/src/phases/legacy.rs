//! Legacy projects: which list is in force, and how far the projects are that left it. Pure.
//!
//! A list comes into force at once, and each strand obeys it from a boundary of its own. A project that left it is migrated when
//! every strand has shown that Supabase has everything of it up to there.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::evidence::{Evidence, Report};
use super::request::Request;
use super::standing::Standing;
use crate::integration::IntegrationStatus;
use crate::migration::{
    LegacyList, LegacyReport, LegacyStatus, MigrationStatus, PROJECTS_SHOWN, ProjectState,
    ProjectStatus,
};
use crate::phase::Phase;

/// The list in force and its projects; `None` while there never was a list.
pub(super) fn migration<P>(
    request: &Request,
    before: &IntegrationStatus,
    standing: &Standing,
    strands: &[Evidence<P>],
    now: &Time,
) -> Option<MigrationStatus> {
    let asked = request.legacy();
    let was = before.migration.as_ref();
    let legacy = in_force(request, before, standing, asked.as_ref(), now)?;
    let known = was.map_or(&[][..], |was| &was.projects);
    // Without the names of the list in force nothing is known of projects: they stay as they are.
    let Some(list) = legacy.list(asked.as_ref()) else {
        return Some(MigrationStatus {
            legacy: Some(legacy),
            projects: known.to_vec(),
            ..MigrationStatus::default()
        });
    };
    let legacy = named(request, legacy, asked.as_ref(), &list);
    let projects = if standing.phase.mirrors() {
        Vec::new()
    } else {
        projects(&list, &legacy, known, strands, now)
    };
    let legacy = counted(legacy, &projects, strands);
    Some(MigrationStatus {
        legacy: Some(legacy),
        projects: shown(projects, known),
        ..MigrationStatus::default()
    })
}

/// The list that is in force where nothing was decided yet: the one that is asked for.
pub fn first_list(request: &Request) -> Option<MigrationStatus> {
    let asked = request.legacy().filter(|asked| !asked.is_empty())?;
    let since = Time(Timestamp::UNIX_EPOCH);
    let legacy = status(request, &asked, 1, &since);
    let legacy = named(request, legacy, Some(&asked), &asked);
    Some(MigrationStatus {
        legacy: Some(legacy),
        projects: Vec::new(),
        ..MigrationStatus::default()
    })
}

/// With the names of the list in force, unless the specification has them.
fn named(
    request: &Request,
    legacy: LegacyStatus,
    asked: Option<&LegacyList>,
    list: &LegacyList,
) -> LegacyStatus {
    let is_specified = !request.reads_names() && asked == Some(list);
    let names = if is_specified { &[] } else { list.names() };
    LegacyStatus {
        names: names.to_vec(),
        ..legacy
    }
}

fn status(request: &Request, asked: &LegacyList, revision: i64, since: &Time) -> LegacyStatus {
    LegacyStatus {
        generation: request.generation,
        digest: asked.digest(),
        listed: count(asked.names().len()),
        shared: asked.shared(),
        revision,
        names: Vec::new(),
        since: since.clone(),
        by: request.by.clone(),
        migrating: 0,
        migrated: 0,
    }
}

/// A changed list comes into force, unless nothing may change, or nobody can read it.
fn in_force(
    request: &Request,
    before: &IntegrationStatus,
    standing: &Standing,
    asked: Option<&LegacyList>,
    now: &Time,
) -> Option<LegacyStatus> {
    let known = before.migration.as_ref();
    let known = known.and_then(|was| was.legacy.clone());
    // The first list comes with the first phase, for which nothing waits either.
    let keeps = before.phase.is_some() && (request.suspended || request.is_paused());
    let stays = keeps || standing.finalized.is_some();
    let Some(asked) = asked.filter(|_| !stays) else {
        return known;
    };
    let revision = match &known {
        None if asked.is_empty() => return None,
        Some(known) if known.digest == asked.digest() => return Some(known.clone()),
        None => 1,
        Some(known) => known.revision.saturating_add(1),
    };
    let is_edit = before.observed_generation != Some(request.generation);
    let changed = status(request, asked, revision, now);
    Some(LegacyStatus {
        by: changed.by.filter(|_| is_edit || !request.reads_names()),
        ..changed
    })
}

/// Each project that is on the list, or left it since the boundary.
fn projects<P>(
    list: &LegacyList,
    legacy: &LegacyStatus,
    known: &[ProjectStatus],
    strands: &[Evidence<P>],
    now: &Time,
) -> Vec<ProjectStatus> {
    let known: BTreeMap<&str, &ProjectStatus> =
        known.iter().map(|it| (it.name.as_str(), it)).collect();
    let departed = strands.iter().filter_map(|it| it.legacy.as_ref());
    let departed = departed.flat_map(|it| it.departed.iter().map(|it| it.name.as_str()));
    let mut names: Vec<&str> = known.keys().copied().chain(departed).collect();
    names.extend(list.names().iter().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let late = strands.iter().find_map(|strand| late(strand, legacy));
    let waits = waits(strands);
    let states = names.into_iter().map(|name| {
        let was = known.get(name).copied();
        let is_done = was.is_some_and(|was| was.state == ProjectState::Migrated);
        let message = if list.contains(name) || is_done {
            None
        } else {
            late.clone().or_else(|| waits.get(name).cloned())
        };
        let state = match (list.contains(name), &message) {
            (true, _) => ProjectState::Legacy,
            (false, Some(_)) => ProjectState::Migrating,
            (false, None) => ProjectState::Migrated,
        };
        let same = was.filter(|was| was.state == state);
        ProjectStatus {
            name: name.to_owned(),
            state,
            since: same.map_or_else(|| now.clone(), |was| was.since.clone()),
            message,
        }
    });
    states.collect()
}

/// Why a strand has not shown that it obeys the list.
fn late<P>(strand: &Evidence<P>, legacy: &LegacyStatus) -> Option<String> {
    let name = &strand.name;
    let mirrors = strand.obeys.is_none_or(Phase::mirrors);
    match &strand.legacy {
        _ if strand.report == Report::Never => Some(format!("{name} has never reported")),
        Some(obeyed) if obeys(obeyed, legacy) => None,
        // It may have had no list, and have passed over records of projects that were on it.
        None if !mirrors && (strand.held || strand.unmirrored != Some(0)) => Some(format!(
            "{name} has not reported which list it obeys; sidecars before this version can't"
        )),
        _ if strand.held || strand.backlog > 0 => {
            Some(format!("{name} has not taken up the list yet"))
        }
        // Without a pod it appends nothing, and what was refused is sent by nobody.
        _ => (strand.dead_letters > 0).then(|| {
            let refused = strand.dead_letters;
            format!("{name} has no pod, and {refused} records are refused")
        }),
    }
}

/// Whether a strand was heard to obey the list after it came into force. The same list may have been in force before.
fn obeys(obeyed: &LegacyReport, legacy: &LegacyStatus) -> bool {
    (obeyed.generation, obeyed.revision, &obeyed.digest)
        == (legacy.generation, legacy.revision, &legacy.digest)
}

/// What the first strand says that each project waits for.
fn waits<P>(strands: &[Evidence<P>]) -> BTreeMap<&str, String> {
    let mut waits = BTreeMap::new();
    for strand in strands {
        let departed = strand.legacy.iter().flat_map(|it| &it.departed);
        for project in departed {
            if let Some(why) = &project.waits_for {
                let why = || format!("{}: {why}", strand.name);
                waits.entry(project.name.as_str()).or_insert_with(why);
            }
        }
    }
    waits
}

/// Counts the projects that left the list. A strand names a bounded number of them, and counts the others.
fn counted<P>(
    legacy: LegacyStatus,
    projects: &[ProjectStatus],
    strands: &[Evidence<P>],
) -> LegacyStatus {
    let names = |state| {
        let them = projects.iter().filter(move |it| it.state == state);
        them.map(|it| it.name.as_str()).collect()
    };
    let done: BTreeSet<&str> = names(ProjectState::Migrated);
    let mut migrating = count(names(ProjectState::Migrating).len());
    let mut left = migrating + count(done.len());
    if !projects.is_empty() {
        let reports = strands.iter().filter_map(|it| it.legacy.as_ref());
        for report in reports.filter(|it| obeys(it, &legacy)) {
            let waiting = report.departed.iter().filter(|it| it.waits_for.is_some());
            let shown_before = waiting.filter(|it| done.contains(it.name.as_str()));
            migrating = migrating.max(report.migrating.saturating_sub(count(shown_before.count())));
            left = left.max(report.migrating.saturating_add(report.migrated));
        }
    }
    LegacyStatus {
        migrating,
        migrated: left.saturating_sub(migrating).max(0),
        ..legacy
    }
}

/// The projects that a status names. A migrated one that it does not name takes no place of one that it names: else they
/// would change places at each look, because strands go on naming both.
fn shown(mut projects: Vec<ProjectStatus>, known: &[ProjectStatus]) -> Vec<ProjectStatus> {
    let known: BTreeSet<&str> = known.iter().map(|it| it.name.as_str()).collect();
    let is_new = |it: &ProjectStatus| !known.contains(it.name.as_str());
    projects.sort_by(|a, b| {
        let newest = || {
            let known_first = is_new(a).cmp(&is_new(b));
            known_first.then_with(|| b.since.cmp(&a.since))
        };
        let order = a.state.cmp(&b.state);
        let order = match a.state {
            ProjectState::Migrated => order.then_with(newest),
            ProjectState::Migrating | ProjectState::Legacy => order,
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
    projects.truncate(PROJECTS_SHOWN);
    projects
}

fn count(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
