//! The table at the end: what, how often, what became of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::check::Outcome;

/// Whether a told loss is what is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The disk kept what it promised: nothing may be lost, nothing be called damaged.
    None,
    /// The disk changed what it held: a loss must be told, and may be called damage where nothing was lost.
    Damage,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    whole: u32,
    told: u32,
    silent: u32,
    alarms: u32,
    wrong: u32,
    failed: u32,
}

/// Outcomes by what was done.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<String, Row>,
    /// What this machine can't run.
    left_out: Vec<String>,
}

impl Table {
    /// Counts an outcome; whether it is a failure.
    pub fn count(&mut self, what: &str, harm: Harm, outcome: &Outcome) -> bool {
        let row = self.rows.entry(what.to_owned()).or_default();
        let place = match outcome {
            Outcome::Whole => &mut row.whole,
            Outcome::ToldLoss(_) => &mut row.told,
            Outcome::SilentLoss(_) => &mut row.silent,
            Outcome::FalseAlarm(_) if harm == Harm::Damage => &mut row.whole,
            Outcome::FalseAlarm(_) => &mut row.alarms,
            Outcome::Wrong(_) => &mut row.wrong,
        };
        *place += 1;
        let failed = match outcome {
            Outcome::Whole => false,
            Outcome::ToldLoss(_) | Outcome::FalseAlarm(_) => harm == Harm::None,
            Outcome::SilentLoss(_) | Outcome::Wrong(_) => true,
        };
        row.failed += u32::from(failed);
        failed
    }

    /// Says that a row can't be run here, and why.
    pub fn leave_out(&mut self, what: &str, why: &str) {
        self.left_out.push(format!("NOT RUN: {what}: {why}"));
    }

    /// How many outcomes there are.
    pub fn states(&self) -> u32 {
        let rows = self.rows.values();
        rows.map(|row| row.whole + row.told + row.silent + row.alarms + row.wrong)
            .sum()
    }

    /// How many outcomes are failures.
    pub fn failures(&self) -> u32 {
        self.rows.values().map(|row| row.failed).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what | states | ok | told loss | SILENT LOSS | FALSE ALARM | WRONG | failed |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
        for (what, row) in &self.rows {
            let states = row.whole + row.told + row.silent + row.alarms + row.wrong;
            writeln!(
                f,
                "| {what} | {states} | {} | {} | {} | {} | {} | {} |",
                row.whole, row.told, row.silent, row.alarms, row.wrong, row.failed
            )?;
        }
        self.left_out
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "{} states, {} failed", self.states(), self.failures())
    }
}

#[cfg(test)]
mod tests {
    use super::{Harm, Table};
    use crate::check::Outcome;

    #[test]
    fn a_told_loss_is_a_failure_unless_the_disk_was_harmed() {
        let mut table = Table::default();
        let told = Outcome::ToldLoss(String::new());
        assert!(table.count("a", Harm::None, &told));
        assert!(!table.count("b", Harm::Damage, &told));
        for outcome in [
            Outcome::SilentLoss(String::new()),
            Outcome::Wrong(String::new()),
        ] {
            assert!(table.count("b", Harm::Damage, &outcome));
        }
        assert!(!table.count("a", Harm::None, &Outcome::Whole));
        assert_eq!((table.states(), table.failures()), (5, 3));
    }
}
