//! What told of which tampering, and what was called one that was none.

use std::collections::BTreeMap;
use std::fmt;

use super::detect::By;

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    chain: usize,
    checkpoint: usize,
    witness: usize,
    unseen: usize,
    can_be_seen: bool,
}

/// Tamperings by what told of them, and honest strands by what was said.
#[derive(Debug, Default)]
pub struct Tampered {
    rows: BTreeMap<&'static str, Row>,
    /// Honest strands: how many there were, and what was said of those that were called tampered.
    honest: BTreeMap<&'static str, (usize, Vec<String>)>,
}

impl Tampered {
    pub(super) fn tampered(&mut self, what: &'static str, can_be_seen: bool, found: Option<&By>) {
        let row = self.rows.entry(what).or_default();
        row.can_be_seen = can_be_seen;
        let place = match found {
            Some(By::Chain(_)) => &mut row.chain,
            Some(By::Checkpoint(_)) => &mut row.checkpoint,
            Some(By::Witness(_)) => &mut row.witness,
            None => &mut row.unseen,
        };
        *place += 1;
    }

    pub(super) fn honest(&mut self, what: &'static str, alarm: Option<&By>) {
        let (count, alarms) = self.honest.entry(what).or_default();
        *count += 1;
        alarms.extend(alarm.map(|by| format!("{by:?}")));
    }

    /// How many tamperings there were.
    pub fn count(&self) -> usize {
        let rows = self.rows.values();
        rows.map(|row| row.chain + row.checkpoint + row.witness + row.unseen)
            .sum()
    }

    /// Tamperings that nobody told of, although somebody could.
    pub fn missed(&self) -> usize {
        let rows = self.rows.values().filter(|row| row.can_be_seen);
        rows.map(|row| row.unseen).sum()
    }

    /// Honest strands that were called tampered.
    pub fn alarms(&self) -> usize {
        self.honest.values().map(|(_, alarms)| alarms.len()).sum()
    }
}

/// What it means that nothing told, where that is no miss.
fn unseen_is(what: &str) -> &'static str {
    if what.starts_with("on the disk") {
        "nothing that was recorded is changed"
    } else {
        "nobody can tell"
    }
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| tampering | times | chain | checkpoint | witness | MISSED |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for (what, row) in &self.rows {
            let times = row.chain + row.checkpoint + row.witness + row.unseen;
            let missed = if row.can_be_seen {
                row.unseen.to_string()
            } else {
                format!("({}: {})", unseen_is(what), row.unseen)
            };
            let (chain, checkpoint, witness) = (row.chain, row.checkpoint, row.witness);
            writeln!(
                f,
                "| {what} | {times} | {chain} | {checkpoint} | {witness} | {missed} |"
            )?;
        }
        writeln!(
            f,
            "\n| no tampering | times | FALSE ALARM |\n| --- | --- | --- |"
        )?;
        for (what, (count, alarms)) in &self.honest {
            let first = alarms
                .first()
                .map_or(String::new(), |why| format!(": {why}"));
            writeln!(f, "| {what} | {count} | {}{first} |", alarms.len())?;
        }
        write!(
            f,
            "{} tamperings, {} missed, {} false alarms",
            self.count(),
            self.missed(),
            self.alarms()
        )
    }
}
