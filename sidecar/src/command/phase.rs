//! `phase`: shows which phase is in force on this machine and what the next one waits for, or asks for another phase by an
//! edit of the file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use boboyka_crds::{Gate, IntegrationStatus, Phase, Transition};

use crate::config::PhaseOptions;
use crate::file::{EditError, StatusFile, request_phase, status_path};

/// How often the status file is read while waiting.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// What a status says after this time is about the file as it is now.
const STALE: Duration = Duration::from_secs(2);

/// Why a phase can't be shown, or did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum PhaseError {
    /// No sidecar has written a status.
    #[error("could not read {}: start a sidecar with --integration {}", file.display(), of.display())]
    NoStatus {
        /// The status file.
        file: PathBuf,
        /// The file of the integration.
        of: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file can't be edited.
    #[error("{}: {reason}", file.display())]
    Edit {
        /// The file of the integration.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The sidecar does not obey the file.
    #[error("{0}")]
    Refused(String),
    /// The time-out came first.
    #[error("{to} did not come into force in time: {why}")]
    TimedOut {
        /// The phase.
        to: Phase,
        /// What it waits for.
        why: String,
    },
}

/// Shows the phase, or asks for one and waits; `say` writes a line. Whether nothing is in the way.
///
/// # Errors
/// [`PhaseError`].
pub fn phase(options: &PhaseOptions, say: impl Fn(&str)) -> Result<bool, PhaseError> {
    let status = read(options)?;
    let Some(to) = options.to else {
        return Ok(show(status.integration(), options.why_not, &say));
    };
    let edited = request_phase(&options.integration, to);
    let edited = edited.map_err(|error| PhaseError::Edit {
        file: options.integration.clone(),
        reason: match error {
            EditError::Wrong(reason) => reason,
            error @ EditError::Write(_) => boboyka_store::causes(&error),
        },
    })?;
    let seen = status.integration().observed_generation.unwrap_or(0);
    let newer = seen + i64::from(edited);
    wait(options, to, newer, &say)?;
    Ok(true)
}

fn read(options: &PhaseOptions) -> Result<StatusFile, PhaseError> {
    let file = status_path(&options.integration);
    StatusFile::read(&file).map_err(|source| PhaseError::NoStatus {
        file,
        of: options.integration.clone(),
        source,
    })
}

/// Waits until the phase is in force, and says what it waits for whenever that changes.
fn wait(
    options: &PhaseOptions,
    to: Phase,
    generation: i64,
    say: &impl Fn(&str),
) -> Result<(), PhaseError> {
    let (begun, mut said) = (Instant::now(), String::new());
    loop {
        let status = read(options)?;
        let status = status.integration();
        let is_seen = status.observed_generation >= Some(generation);
        if is_seen && status.phase == Some(to) {
            say(&format!("{to} is in force"));
            return Ok(());
        }
        let stalled = status.conditions.iter().find(|it| it.type_ == "Stalled");
        if let Some(wrong) = stalled.filter(|_| begun.elapsed() >= STALE) {
            let why = format!("the sidecar does not obey the file: {}", wrong.message);
            return Err(PhaseError::Refused(why));
        }
        let why = blockers(status).unwrap_or_else(|| "no sidecar has seen the edit yet".to_owned());
        if begun.elapsed() >= options.timeout {
            return Err(PhaseError::TimedOut { to, why });
        }
        if is_seen && status.transition.is_some() && why != said {
            say(&format!("waits: {why}"));
            said = why;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn blockers(status: &IntegrationStatus) -> Option<String> {
    let why = status.transition.as_ref().map(Transition::why);
    why.filter(|why| !why.is_empty())
}

fn state(gate: &Gate) -> &'static str {
    match (gate.passed, gate.forced) {
        (true, _) => "passed",
        (false, true) => "forced",
        (false, false) => "closed",
    }
}

fn show(status: &IntegrationStatus, only_closed: bool, say: &impl Fn(&str)) -> bool {
    if !only_closed {
        let phase = status.phase.map_or("not known yet", Phase::as_str);
        let generation = status.phase_generation.unwrap_or(0);
        say(&format!(
            "{phase} is in force since generation {generation}"
        ));
        if let Some(end) = &status.finalized {
            say(&format!("the migration is final since {}", end.at.0));
        }
        if let Some(transition) = &status.transition {
            say(&format!("{} waits:", transition.goal()));
        }
        if let Some(notice) = status.transition.as_ref().and_then(|it| it.notice.as_ref()) {
            say(&format!("  when it comes, {notice}"));
        }
    }
    if status.transition.as_ref().is_some_and(|it| it.paused) {
        say("  paused  spec.migration.pause is true");
    }
    let gates = status.transition.iter().flat_map(|it| &it.gates);
    for gate in gates.filter(|gate| !(only_closed && gate.is_open())) {
        say(&format!(
            "  {}  {}: {}",
            state(gate),
            gate.name,
            gate.message
        ));
    }
    let wrong = status.conditions.iter().find(|it| it.type_ == "Stalled");
    if let Some(wrong) = wrong {
        say(&format!("  the file is not obeyed: {}", wrong.message));
    }
    wrong.is_none() && (!only_closed || status.transition.is_none())
}
