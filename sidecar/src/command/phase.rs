//! `phase`: shows which phase is in force on this machine and what the next one waits for, or asks for another phase by an
//! edit of the file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use boboyka_crds::{IntegrationStatus, Phase, Transition};

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
    wait(options, to, newer, &say)
}

fn read(options: &PhaseOptions) -> Result<StatusFile, PhaseError> {
    let file = status_path(&options.integration);
    StatusFile::read(&file).map_err(|source| PhaseError::NoStatus {
        file,
        of: options.integration.clone(),
        source,
    })
}

/// Waits until the phase is in force, and says what it waits for whenever that changes; or says only what keeps it from coming
/// into force. Whether nothing does.
fn wait(
    options: &PhaseOptions,
    to: Phase,
    generation: i64,
    say: &impl Fn(&str),
) -> Result<bool, PhaseError> {
    let (begun, mut said) = (Instant::now(), String::new());
    loop {
        let status = read(options)?;
        let status = status.integration();
        let is_seen = status.observed_generation >= Some(generation);
        if is_seen && status.phase == Some(to) {
            say(&format!("{to} is in force"));
            return Ok(true);
        }
        if is_seen && options.why_not && status.transition.is_some() {
            return Ok(show(status, true, say));
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

fn show(status: &IntegrationStatus, only_closed: bool, say: &impl Fn(&str)) -> bool {
    if !only_closed {
        let phase = status.phase.map_or("not known yet", Phase::as_str);
        let generation = status.phase_generation.unwrap_or(0);
        say(&format!(
            "{phase} is in force since generation {generation}"
        ));
        let projects = status.migration.as_ref().zip(status.phase);
        if let Some(told) = projects.and_then(|(migration, phase)| migration.told(phase)) {
            say(&told);
        }
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
            gate.state(),
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;

    /// The file asks for `MigrateInternals`, and the status says that this phase is in force.
    fn phase_of(options: &[&str], in_force: &str) -> (bool, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("integration.yaml");
        let document = |kind: &str, rest: &str| {
            format!(
                "apiVersion: boboyka.sapixdb.com/v1alpha1\nkind: {kind}\nmetadata: {{name: b}}\n{rest}\n"
            )
        };
        let spec = document("BoboykaIntegration", "spec: {phase: MigrateInternals}");
        fs::write(&file, spec).unwrap();
        let gates = "[{name: Reported, passed: true, message: all}, {name: Drained, passed: false, message: 3 wait}]";
        let waits =
            format!("{{from: DualWrite, to: MigrateInternals, generation: 2, gates: {gates}}}");
        let waits = if in_force == "DualWrite" {
            &waits
        } else {
            "null"
        };
        let status = format!(
            "status: {{observedGeneration: 2, phase: {in_force}, phaseGeneration: 1, transition: {waits}}}"
        );
        let status = document("BoboykaIntegration", &status);
        let strand = document("BoboykaStrand", "status: {}");
        fs::write(status_path(&file), format!("{status}---\n{strand}")).unwrap();
        let told = RefCell::new(Vec::new());
        let options = PhaseOptions {
            integration: file,
            to: options.contains(&"--to").then_some(Phase::MigrateInternals),
            why_not: options.contains(&"--why-not"),
            timeout: Duration::ZERO,
        };
        let done = phase(&options, |line| told.borrow_mut().push(line.to_owned()));
        (done.unwrap(), told.into_inner())
    }

    #[test]
    fn why_not_shows_the_closed_gates_alone_also_of_a_phase_that_it_asks_for() {
        for options in [&["--why-not"][..], &["--to", "--why-not"]] {
            let (is_free, told) = phase_of(options, "DualWrite");
            assert_eq!(
                (is_free, told),
                (false, vec!["  closed  Drained: 3 wait".to_owned()])
            );
        }
        let (is_free, told) = phase_of(&["--to", "--why-not"], "MigrateInternals");
        assert_eq!(
            (is_free, told),
            (true, vec!["MigrateInternals is in force".to_owned()])
        );
        let (is_free, told) = phase_of(&[], "DualWrite");
        assert!(
            is_free && told.contains(&"  passed  Reported: all".to_owned()),
            "{told:?}"
        );
    }

    #[test]
    fn how_many_legacy_projects_there_are_is_told_where_nothing_else_is_mirrored() {
        let told = |phase: &str| {
            let legacy = serde_json::json!({
                "generation": 2, "digest": "d", "listed": 2, "migrating": 1, "since": "2026-01-01T00:00:00Z",
            });
            let status = serde_json::json!({"phase": phase, "migration": {"legacy": legacy}});
            let status: IntegrationStatus = serde_json::from_value(status).unwrap();
            let told = RefCell::new(Vec::new());
            let say = |line: &str| told.borrow_mut().push(line.to_owned());
            show(&status, false, &say);
            told.into_inner().join("; ")
        };
        let projects = "2 legacy projects are still mirrored to Supabase, and 1 legacy project is being migrated";
        assert!(told("CutOver").ends_with(projects), "{}", told("CutOver"));
        assert!(!told("DualWrite").contains("legacy"));
    }

    #[test]
    fn a_file_that_is_not_obeyed_is_in_the_way_whatever_is_asked() {
        let wrong = serde_json::json!({
            "type": "Stalled", "status": "True", "reason": "InvalidSpec", "message": "line 3: no",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let status = serde_json::json!({"phase": "DualWrite", "conditions": [wrong]});
        let status: IntegrationStatus = serde_json::from_value(status).unwrap();
        for only_closed in [false, true] {
            let told = RefCell::new(Vec::new());
            let say = |line: &str| told.borrow_mut().push(line.to_owned());
            assert!(!show(&status, only_closed, &say), "{only_closed}");
            let told = told.into_inner();
            let last = told.last().map(String::as_str);
            assert_eq!(last, Some("  the file is not obeyed: line 3: no"));
        }
    }
}
