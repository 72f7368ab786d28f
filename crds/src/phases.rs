//! Which phase is in force, and which gates keep the next one from coming into force. Pure.
//! The operator decides so for a fleet, and a sidecar without a cluster for its one strand.
//!
//! A step forward is one phase and passes gates; a step backward is at once. The end of the migration passes the gates of a
//! step forward, and is final. A strand's boundary is the head of its last report if nothing was left to mirror then, else
//! the boundary that its sidecar fixed for the generation that requested the step. The gates show that the mirror keeps up.
//! Records that are appended until a sidecar obeys are mirrored too: it fixes the last seq to mirror in the commit in which
//! it obeys.

mod asked;
mod evidence;
mod force;
mod gates;
mod legacy;
mod proof;
mod request;
mod soak;
mod standing;
mod step;

use std::fmt::Display;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::asked::Asked;
pub use self::evidence::{Evidence, Report};
pub use self::legacy::first_list;
pub use self::request::Request;
use self::soak::Others;
pub use self::soak::Watch;
pub use self::standing::{Standing, digest};
use self::step::Step;
use crate::integration::IntegrationStatus;
use crate::legal_hold::LegalHold;
use crate::migration::{Gate, Soak, Transition, notice};
use crate::phase::Phase;

/// A moment, as who decides sees it.
#[derive(Clone, Debug)]
pub struct Now {
    /// By the wall clock: it dates what others read.
    pub time: Time,
    /// What [`Watch::look`] says: for how long the recorded soak has been watched.
    pub watched: Option<Duration>,
    /// What [`Watch::asked`] says: for how long the step that waits has been seen.
    pub asked: Duration,
}

/// Decides which phase is in force, from the request, the status so far and the strands; which list of legacy projects, and how
/// far their migration is; and whose legal hold there is.
pub fn decide<P: Display>(
    request: &Request,
    before: &IntegrationStatus,
    strands: &[Evidence<P>],
    now: &Now,
) -> Standing {
    let standing = phase(request, before, strands, now);
    let migration = legacy::migration(request, before, &standing, strands, &now.time);
    let author = (request.generation, request.by.as_deref());
    let hold = before.legal_hold.as_ref();
    Standing {
        migration,
        legal_hold: LegalHold::after(hold, request.hold, author, &now.time),
        ..standing
    }
}

fn phase<P: Display>(
    request: &Request,
    before: &IntegrationStatus,
    strands: &[Evidence<P>],
    now: &Now,
) -> Standing {
    let (phase, generation) = match before.phase {
        Some(phase) => (phase, before.phase_generation.unwrap_or(request.generation)),
        None => (first_phase(request.phase, strands), request.generation),
    };
    let here = Standing {
        phase,
        generation,
        transition: None,
        force: force::taken(request, before),
        last_change: before.last_change.clone(),
        migration: before.migration.clone(),
        legal_hold: before.legal_hold.clone(),
        finalized: before.finalized.clone(),
    };
    if request.suspended || here.finalized.is_some() {
        return here;
    }
    let Some(step) = Step::next(phase, request) else {
        return here;
    };
    let same = before.transition.as_ref();
    let same = same.filter(|was| step.is_that_of(was, request));
    let waits = transition(step, request, same, &here, strands, now);
    // What can't be undone is said first.
    let is_said = !step.finalizes || same.is_some();
    if waits.paused || !is_said || waits.closed().next().is_some() {
        return Standing {
            transition: Some(waits),
            ..here
        };
    }
    here.after(waits, now.time.clone())
}

/// The step, as it waits now.
fn transition<P: Display>(
    step: Step,
    request: &Request,
    same: Option<&Transition>,
    here: &Standing,
    strands: &[Evidence<P>],
    now: &Now,
) -> Transition {
    let since = same.and_then(|was| was.since.clone());
    let since = since.unwrap_or_else(|| now.time.clone());
    let asked = Asked {
        phase: step.from,
        generation: same.map_or(request.generation, |was| was.generation),
        has_supabase: request.has_supabase,
        proven: request.migration.is_some(),
        ago: same.map_or(Duration::ZERO, |_| now.asked),
        soak: request.soak(),
        migrating: here.migrating().filter(|_| step.finalizes).unwrap_or(0),
        unlisted: step.from.mirrors() && request.lacks_names(),
    };
    let mut gates = Vec::new();
    let mut soak = None;
    if step.is_gated() {
        let found = gates::gates(request, &asked, strands);
        let against: Vec<bool> = found.iter().map(|it| it.is_against).collect();
        gates = found.into_iter().map(|it| it.gate).collect();
        force::mark(&mut gates, here.force.as_ref(), request.generation);
        let others = others(&gates, &against);
        soak = soaked(&mut gates, others, same, &asked, now);
        force::mark(&mut gates, here.force.as_ref(), request.generation);
    }
    let by = same.map_or_else(|| request.by.clone(), |was| was.by.clone());
    let unmirrored = || {
        let records = strands.iter().map(|strand| strand.unmirrored).sum();
        notice(records, strands.iter().map(|it| it.unmirrored_bytes).sum())
    };
    Transition {
        from: step.from,
        to: step.to,
        generation: asked.generation,
        since: Some(since),
        by,
        paused: request.is_paused(),
        finalizes: step.finalizes,
        notice: step.finalizes.then(unmirrored),
        soak,
        gates,
    }
}

fn others(gates: &[Gate], against: &[bool]) -> Others {
    let closed = gates
        .iter()
        .zip(against)
        .filter(|(gate, _)| !gate.is_open());
    let closed: Vec<bool> = closed.map(|(_, is_against)| *is_against).collect();
    match closed.contains(&true) {
        true => Others::Closed,
        false if closed.is_empty() => Others::Hold,
        false => Others::Wait,
    }
}

/// Adds the gate of the soak, if there is one.
fn soaked(
    gates: &mut Vec<Gate>,
    others: Others,
    same: Option<&Transition>,
    asked: &Asked,
    now: &Now,
) -> Option<Soak> {
    if asked.soak.is_zero() {
        return None;
    }
    let recorded = same.and_then(|was| was.soak.as_ref());
    let soak = soak::next(recorded, others, now.watched, asked.soak, &now.time);
    gates.push(soak::gate(&soak, asked.soak));
    Some(soak)
}

/// The phase in force of an integration without a status: the requested phase or, if strands of an earlier integration
/// exist, the least advanced phase that they obey.
fn first_phase<P>(requested: Phase, strands: &[Evidence<P>]) -> Phase {
    let obeyed = strands.iter().filter_map(|strand| strand.obeys).min();
    obeyed.map_or(requested, |obeyed| obeyed.min(requested))
}

#[cfg(test)]
mod tests;
