//! The gates of a step forward, as data: when each is asked for, what blocks it, what it shows when nothing does. Pure.

use std::fmt::Display;

use super::asked::{Asked, Block};
use super::evidence::{Evidence, Report};
use super::proof;
use super::request::Request;
use crate::migration::{Gate, GateName};

/// How many strands a message names.
const NAMED_MAX: usize = 5;

/// A gate, and whether there is evidence against it.
pub(super) struct Found {
    pub(super) gate: Gate,
    pub(super) is_against: bool,
}

/// One gate.
struct Check<P> {
    name: GateName,
    is_asked: fn(&Request) -> bool,
    /// Why a strand blocks it.
    blocks: fn(&Evidence<P>, &Asked) -> Option<Block>,
    /// Why the strands together block it.
    lacks: fn(&[Evidence<P>], &Asked) -> Option<Block>,
    /// What it shows when nothing blocks it.
    shows: fn(&[Evidence<P>], &Asked) -> String,
}

/// Every gate but the soak, which looks at the others.
fn checks<P: Display>() -> [Check<P>; 6] {
    let with_supabase = |request: &Request| request.has_supabase;
    let proven = |request: &Request| request.has_supabase && request.migration.is_some();
    let nothing = |_: &[Evidence<P>], _: &Asked| None;
    [
        Check {
            name: GateName::Reported,
            is_asked: |_| true,
            blocks: silent,
            lacks: nothing,
            shows: |_, asked| {
                format!(
                    "every running sidecar has reported and obeys {}",
                    asked.phase
                )
            },
        },
        Check {
            name: GateName::Drained,
            is_asked: with_supabase,
            blocks: undrained,
            lacks: |_, asked| unlisted(asked).or_else(|| unmigrated(asked)),
            shows: |_, _| "Supabase has every record up to each strand's boundary".to_owned(),
        },
        Check {
            name: GateName::NoDeadLetters,
            is_asked: with_supabase,
            blocks: |strand, _| {
                let count = strand.dead_letters;
                (count > 0).then(|| Block::Against(format!("{count} dead letters")))
            },
            lacks: nothing,
            shows: |_, _| "Supabase refused no record".to_owned(),
        },
        Check {
            name: GateName::ChainIntact,
            is_asked: |_| true,
            blocks: broken,
            lacks: nothing,
            shows: proof::chains,
        },
        Check {
            name: GateName::Parity,
            is_asked: proven,
            blocks: proof::disparity,
            lacks: nothing,
            shows: proof::compared,
        },
        Check {
            name: GateName::NoForeignWrites,
            is_asked: proven,
            blocks: |strand, asked| proof::foreign(strand, asked).map(Block::Against),
            lacks: |strands, asked| proof::uncounted(strands, asked).map(Block::Missing),
            shows: proof::no_foreign,
        },
    ]
}

/// The names of the gates that a step forward asks for, without the soak.
pub(super) fn names(request: &Request) -> Vec<&'static str> {
    let checks = checks::<String>();
    let asked = checks.iter().filter(|check| (check.is_asked)(request));
    asked.map(|check| check.name.as_str()).collect()
}

/// What a step forward must pass, without the soak.
pub(super) fn gates<P: Display>(
    request: &Request,
    asked: &Asked,
    strands: &[Evidence<P>],
) -> Vec<Found> {
    let checks = checks();
    let wanted = checks.iter().filter(|check| (check.is_asked)(request));
    wanted.map(|check| gate(check, asked, strands)).collect()
}

fn gate<P>(check: &Check<P>, asked: &Asked, strands: &[Evidence<P>]) -> Found {
    let blocking = strands.iter();
    let blocking =
        blocking.filter_map(|strand| Some((&strand.name, (check.blocks)(strand, asked)?)));
    let blocking: Vec<(&String, Block)> = blocking.collect();
    let mut named: Vec<String> = blocking
        .iter()
        .take(NAMED_MAX)
        .map(|(name, block)| format!("{name} ({})", block.why()))
        .collect();
    if blocking.len() > NAMED_MAX {
        named.push(format!("and {} more", blocking.len() - NAMED_MAX));
    }
    let lack = (check.lacks)(strands, asked);
    let why = (!named.is_empty())
        .then(|| format!("{} of the strands: {}", blocking.len(), named.join(", ")));
    let why = why.or_else(|| Some(lack.as_ref()?.why().to_owned()));
    let mut blocks = blocking.iter().map(|(_, block)| block).chain(&lack);
    Found {
        is_against: blocks.any(Block::is_against),
        gate: Gate {
            name: check.name.to_string(),
            passed: why.is_none(),
            forced: false,
            message: why.unwrap_or_else(|| (check.shows)(strands, asked)),
        },
    }
}

/// What no pod holds is drained, and reports then; without a Supabase there is nothing to drain.
fn silent<P>(strand: &Evidence<P>, asked: &Asked) -> Option<Block> {
    let unknown = strand.report == Report::Never && (asked.has_supabase || asked.proven);
    let obeys = strand.report == Report::Fresh && strand.obeys == Some(asked.phase);
    (unknown || strand.held && !obeys).then(|| match (strand.report, strand.obeys) {
        (Report::Never, _) => Block::Against("has never reported".to_owned()),
        (Report::Old, _) => Block::Against("has not reported".to_owned()),
        (Report::Fresh, Some(obeys)) => Block::Missing(format!("obeys {obeys}")),
        (Report::Fresh, None) => Block::Missing("obeys no phase yet".to_owned()),
    })
}

/// Records that a project wrote before it was listed are never mirrored after the step.
fn unlisted(asked: &Asked) -> Option<Block> {
    let why = "spec.migration.legacyProjectsFrom can't be read, so that it is not known whose records go on to Supabase";
    asked.unlisted.then(|| Block::Missing(why.to_owned()))
}

/// After the end nothing more goes to Supabase.
fn unmigrated(asked: &Asked) -> Option<Block> {
    let count = asked.migrating;
    let why = || {
        let why = "legacy projects are not migrated yet; status.migration.projects says what they wait for";
        Block::Missing(format!("{count} {why}"))
    };
    (count > 0).then(why)
}

fn undrained<P>(strand: &Evidence<P>, asked: &Asked) -> Option<Block> {
    (!strand.is_drained(asked.generation)).then(|| match &strand.obstacle {
        None => Block::Missing(format!("{} records wait", strand.backlog)),
        Some(why) => Block::Missing(format!("{} records wait; {why}", strand.backlog)),
    })
}

fn broken<P: Display>(strand: &Evidence<P>, asked: &Asked) -> Option<Block> {
    match &strand.problem {
        Some(problem) => Some(Block::Against(format!(
            "its chain is not intact: {problem}"
        ))),
        None if asked.proven => proof::unscrubbed(strand, asked),
        None => None,
    }
}
