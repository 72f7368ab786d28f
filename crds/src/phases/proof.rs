//! The evidence that a migration asks for beyond what sidecars say of themselves: what the scrub has read, what was compared
//! with Supabase, who else writes there. What is not known blocks. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::asked::{Asked, Block};
use super::evidence::{Evidence, Report};
use crate::strand::{ForeignTable, ForeignWrites, LaneStatus, Parity};

/// Keys of foreign rows that a message names.
const SAMPLE_MAX: usize = 3;

/// Columns that a message names.
const COLUMNS_MAX: usize = 8;

/// What is missing of a strand, and what to do where nobody gathers it.
pub(super) fn missing<P>(strand: &Evidence<P>, what: String) -> Block {
    let is_idle = !strand.held && strand.report != Report::Never;
    let next =
        "no pod holds it, so nothing gathers that: give it a pod or, if nobody needs it, remove it";
    Block::Missing(if is_idle {
        format!("{what}; {next}")
    } else {
        what
    })
}

/// Why the scrub has not shown that a chain is intact up to its boundary.
pub(super) fn unscrubbed<P>(strand: &Evidence<P>, asked: &Asked) -> Option<Block> {
    let end = strand.end(asked.generation);
    let why = match strand.scrubbed_to {
        _ if end == 0 => None,
        Some(read) if read >= end => None,
        Some(read) => Some(format!(
            "the scrub has read it up to seq {read}, and not yet up to {end}"
        )),
        None if strand.report == Report::Never => Some("has never reported".to_owned()),
        None => Some(format!("the scrub has not read it up to seq {end} yet")),
    };
    why.map(|why| missing(strand, why))
}

pub(super) fn chains<P>(strands: &[Evidence<P>], asked: &Asked) -> String {
    if !asked.proven {
        return "every chain is intact".to_owned();
    }
    let read: i64 = strands.iter().map(|it| it.end(asked.generation)).sum();
    format!("every chain is intact; the scrub has read {read} records again")
}

/// How a strand and its tables differ, or why nobody knows.
pub(super) fn disparity<P>(strand: &Evidence<P>, asked: &Asked) -> Option<Block> {
    if strand.report == Report::Never {
        return Some(Block::Missing("has never reported".to_owned()));
    }
    if strand.lanes.is_empty() && strand.head > 0 {
        let why = "its sidecar reports no lanes".to_owned();
        return Some(missing(strand, why));
    }
    let parities = strand.lanes.iter();
    let mut differing = parities.filter_map(|lane| {
        let why = differences(lane.parity.as_ref()?)?;
        Some(Block::Against(format!("{}: {why}", lane.record_type)))
    });
    let uncompared = || {
        let mut lanes = strand.lanes.iter();
        lanes.find_map(|lane| {
            let why = uncompared(strand, lane, asked)?;
            Some(missing(strand, format!("{}: {why}", lane.record_type)))
        })
    };
    differing.next().or_else(uncompared)
}

/// Whether a sidecar found something after the step was asked for. It says for which generation and obeys which phase, as one
/// generation can ask for two steps; the report was heard after the step was seen. No wall clock decides: one that jumped would
/// make old evidence new, or new evidence old for ever.
fn is_since_asked<P>(strand: &Evidence<P>, generation: Option<i64>, asked: &Asked) -> bool {
    let is_for_it = generation == Some(asked.generation) && strand.obeys == Some(asked.phase);
    is_for_it && strand.age.is_some_and(|age| age < asked.ago)
}

/// Why nobody knows how a lane and its table differ.
fn uncompared<P>(strand: &Evidence<P>, lane: &LaneStatus, asked: &Asked) -> Option<String> {
    // An empty lane has nothing that could be missing.
    if lane.mark == 0 && lane.backlog == 0 {
        return None;
    }
    let Some(parity) = &lane.parity else {
        return Some(unknown(lane));
    };
    let end = lane.mark.min(strand.end(asked.generation));
    if parity.up_to < end {
        return Some(format!(
            "compared up to seq {}, and not yet up to {end}",
            parity.up_to
        ));
    }
    let is_new = is_since_asked(strand, parity.generation, asked);
    (lane.mark > 0 && !is_new)
        .then(|| "not compared again yet since the change was requested".to_owned())
}

fn unknown(lane: &LaneStatus) -> String {
    let why = lane.parity_unknown.as_deref();
    why.map_or_else(
        || "its sidecar reports no parity; sidecars before this version can't".to_owned(),
        |why| format!("parity is not known: {why}"),
    )
}

fn differences(parity: &Parity) -> Option<String> {
    let counts = [
        (parity.missing, "missing"),
        (parity.changed, "changed"),
        (parity.extra, "extra"),
        (parity.doubled, "doubled"),
    ];
    let found = counts.iter().filter(|(count, _)| *count != 0);
    let found: Vec<_> = found
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!found.is_empty()).then(|| format!("{} in Supabase", found.join(", ")))
}

pub(super) fn compared<P>(strands: &[Evidence<P>], _: &Asked) -> String {
    let lanes = strands.iter().flat_map(|strand| &strand.lanes);
    let compared = lanes.filter_map(|lane| Some((lane, lane.parity.as_ref()?)));
    let compared: Vec<_> = compared.collect();
    let unchecked = compared.iter().flat_map(|(lane, parity)| {
        let columns = parity.unchecked_columns.iter();
        columns.map(|column| format!("{}.{column}", lane.record_type))
    });
    format!(
        "compared row by row since the change was requested: {} lanes and their tables are the same{}",
        compared.len(),
        but_for(&unchecked.collect())
    )
}

/// What the comparison does not show: it passes the gate, and whoever reads the evidence knows.
fn but_for(unchecked: &BTreeSet<String>) -> String {
    if unchecked.is_empty() {
        return String::new();
    }
    let named = unchecked.iter().take(COLUMNS_MAX).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match unchecked.len().saturating_sub(COLUMNS_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("; columns that can't be compared: {named}{more}")
}

/// Why the foreign writes that a strand's sidecar counted block.
pub(super) fn foreign<P>(strand: &Evidence<P>, asked: &Asked) -> Option<String> {
    let counted = strand.foreign_writes.as_ref()?;
    let tables = counted.tables.iter();
    let writing = tables.filter(|table| table.rows > 0 && !is_over(table, asked.soak));
    let told: Vec<String> = writing.map(table_text).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Whether the newest foreign row is older than the soak: nobody has written since then. Its sidecar counts that by a clock that
/// never jumps.
fn is_over(table: &ForeignTable, soak: Duration) -> bool {
    let quiet = table.quiet_seconds.and_then(|it| u64::try_from(it).ok());
    soak > Duration::ZERO && quiet.is_some_and(|quiet| Duration::from_secs(quiet) >= soak)
}

fn table_text(table: &ForeignTable) -> String {
    let sample: Vec<&str> = table
        .sample
        .iter()
        .take(SAMPLE_MAX)
        .map(String::as_str)
        .collect();
    let sample = if sample.is_empty() {
        String::new()
    } else {
        format!(", such as {}", sample.join(", "))
    };
    format!(
        "{} has {} rows that no strand wrote{sample}",
        table.table, table.rows
    )
}

/// Why nobody knows of foreign writes.
pub(super) fn uncounted<P>(strands: &[Evidence<P>], asked: &Asked) -> Option<String> {
    let fresh = |strand: &&Evidence<P>| strand.report == Report::Fresh;
    let counted = || {
        strands
            .iter()
            .filter(fresh)
            .filter_map(|strand| Some((strand, strand.foreign_writes.as_ref()?)))
    };
    let is_new = |(strand, writes): (&Evidence<P>, &ForeignWrites)| {
        is_since_asked(strand, writes.generation, asked)
    };
    if counted().any(is_new) {
        return None;
    }
    if counted().next().is_some() {
        return Some("not looked for again yet since the change was requested".to_owned());
    }
    if !strands.iter().any(|strand| fresh(&strand)) {
        return Some("no sidecar runs that could look for them: start a pod".to_owned());
    }
    let mut reasons = strands
        .iter()
        .filter(fresh)
        .filter_map(|it| it.foreign_writes_unknown.as_deref());
    Some(reasons.next().map_or_else(
        || "no sidecar reports foreign writes; sidecars before this version can't".to_owned(),
        |why| format!("foreign writes are not known: {why}"),
    ))
}

pub(super) fn no_foreign<P>(strands: &[Evidence<P>], _: &Asked) -> String {
    let counted = strands.iter().filter_map(|it| it.foreign_writes.as_ref());
    let old: i64 = counted
        .flat_map(|it| &it.tables)
        .map(|table| table.rows)
        .sum();
    match old {
        0 => "the tables of Supabase have no row that no strand wrote".to_owned(),
        old => format!(
            "nobody has written for as long as the soak; {old} older rows are not of a strand"
        ),
    }
}
