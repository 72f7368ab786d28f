//! The gates of a step forward, each with what it looked at. Pure.

use std::fmt::Display;

use super::evidence::{Evidence, Report};
use super::request::Request;
use crate::integration::Gate;
use crate::phase::Phase;

/// How many strands a message names.
const NAMED_MAX: usize = 5;

/// What a step forward from `phase` must pass.
pub(super) fn gates<P: Display>(
    phase: Phase,
    request: Request,
    strands: &[Evidence<P>],
) -> Vec<Gate> {
    // What no pod holds is drained, and reports then; without a Supabase there is nothing to drain.
    let silent = |strand: &&Evidence<P>| {
        let unknown = strand.report == Report::Never && request.has_supabase;
        let obeys = strand.report == Report::Fresh && strand.obeys == Some(phase);
        unknown || strand.held && !obeys
    };
    let mut gates = vec![gate(
        "Reported",
        strands.iter().filter(silent),
        &format!("every running sidecar has reported and obeys {phase}"),
        |strand| match (strand.report, strand.obeys) {
            (Report::Never, _) => "has never reported".to_owned(),
            (Report::Old, _) => "has not reported".to_owned(),
            (Report::Fresh, Some(obeys)) => format!("obeys {obeys}"),
            (Report::Fresh, None) => "obeys no phase yet".to_owned(),
        },
    )];
    if request.has_supabase {
        gates.push(gate(
            "Drained",
            strands
                .iter()
                .filter(|strand| !strand.is_drained(request.generation)),
            "Supabase has every record up to each strand's boundary",
            |strand| match &strand.obstacle {
                None => format!("{} records wait", strand.backlog),
                Some(why) => format!("{} records wait; {why}", strand.backlog),
            },
        ));
        gates.push(gate(
            "NoDeadLetters",
            strands.iter().filter(|strand| strand.dead_letters > 0),
            "Supabase refused no record",
            |strand| format!("{} dead letters", strand.dead_letters),
        ));
    }
    gates.push(gate(
        "ChainIntact",
        strands.iter().filter(|strand| strand.problem.is_some()),
        "every chain is intact",
        |strand| {
            let why = strand.problem.as_ref().map(ToString::to_string);
            format!("its chain is not intact: {}", why.unwrap_or_default())
        },
    ));
    gates
}

fn gate<'a, P: 'a>(
    name: &str,
    blocking: impl Iterator<Item = &'a Evidence<P>>,
    passed: &str,
    describe: impl Fn(&Evidence<P>) -> String,
) -> Gate {
    let blocking: Vec<&Evidence<P>> = blocking.collect();
    let mut named: Vec<String> = blocking
        .iter()
        .take(NAMED_MAX)
        .map(|strand| format!("{} ({})", strand.name, describe(strand)))
        .collect();
    if blocking.len() > NAMED_MAX {
        named.push(format!("and {} more", blocking.len() - NAMED_MAX));
    }
    Gate {
        name: name.to_owned(),
        passed: blocking.is_empty(),
        message: if blocking.is_empty() {
            passed.to_owned()
        } else {
            format!("{} of the strands: {}", blocking.len(), named.join(", "))
        },
    }
}
