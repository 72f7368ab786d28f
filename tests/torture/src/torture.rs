//! A torture: its size, its states, and what came of them.

use std::future::Future;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use futures_util::{StreamExt as _, stream};

use crate::Tools;
use crate::check::{Outcome, check};
use crate::model::Tree;
use crate::record::{DATA, Promise};
use crate::table::{Harm, Table};

/// States that are checked at a time.
const PARALLEL: usize = 2;
/// Failing states of one row that are kept.
const KEPT_PER_ROW: usize = 9;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Power cuts in each recording under each rule.
    pub cuts: usize,
    /// Kills in each script.
    pub kills: usize,
    /// Damages of one strand.
    pub damages: usize,
    /// Failures of each kind.
    pub faults: usize,
    /// Power cuts of each real file system; 0 leaves them out.
    pub images: usize,
}

impl Size {
    /// For `make test`.
    pub const SMALL: Self = Self {
        cuts: 2,
        kills: 4,
        damages: 9,
        faults: 1,
        images: 0,
    };

    /// For `make torture`.
    pub fn rounds(rounds: usize) -> Self {
        Self {
            cuts: 30 * rounds,
            kills: 60 * rounds,
            damages: 120 * rounds,
            faults: 12 * rounds,
            images: 4 * rounds,
        }
    }
}

/// A torture under way.
pub struct Torture<'a> {
    pub(crate) tools: &'a Tools,
    seed: u64,
    pub(crate) size: Size,
    /// Whether told losses are printed too.
    pub verbose: bool,
    /// What came of it so far.
    pub table: Table,
}

/// A state to be checked: where it is, what it is called in a report.
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) promise: Promise,
}

impl<'a> Torture<'a> {
    /// With these programs, by this seed.
    pub fn new(tools: &'a Tools, seed: u64, size: Size) -> Self {
        Self {
            tools,
            seed,
            size,
            verbose: false,
            table: Table::default(),
        }
    }

    /// Random numbers of a row: the same for the same seed.
    pub(crate) fn rng(&self, row: &str) -> Rng {
        let mixed = row.bytes().fold(self.seed, |seed, byte| {
            seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        Rng::with_seed(mixed)
    }

    /// Checks states as they are made, few at a time, and removes them.
    pub(crate) async fn check_all<F>(&mut self, row: &str, harm: Harm, states: Vec<F>)
    where
        F: Future<Output = anyhow::Result<State>>,
    {
        let tools = self.tools;
        let checks = stream::iter(states).map(|state| async move {
            let state = state.await?;
            let before = copy_of(tools, &state)?;
            let outcome = check(tools, &state.folder.join(DATA), &state.promise).await;
            std::fs::remove_dir_all(&state.folder)?;
            anyhow::Ok((state, before, outcome))
        });
        let mut checks = Box::pin(checks.buffer_unordered(PARALLEL));
        let mut kept = 0;
        while let Some(checked) = checks.next().await {
            match checked {
                Ok((state, before, outcome)) => {
                    let keep = kept < KEPT_PER_ROW;
                    kept += usize::from(self.count(row, harm, &state, &before, &outcome, keep));
                }
                Err(error) => self.not_made(row, harm, &error),
            }
        }
    }

    /// Counts a state that there is not.
    pub(crate) fn not_made(&mut self, row: &str, harm: Harm, error: &anyhow::Error) {
        let outcome = Outcome::Wrong(format!("the state can't be made: {error:#}"));
        report(row, "a state", &outcome, None);
        self.table.count(row, harm, &outcome);
    }

    /// Counts an outcome, and keeps the state of what is reported; whether it is.
    pub(crate) fn count(
        &mut self,
        row: &str,
        harm: Harm,
        state: &State,
        before: &Path,
        outcome: &Outcome,
        keep: bool,
    ) -> bool {
        let failed = self.table.count(row, harm, outcome);
        let told = failed || self.verbose && *outcome != Outcome::Whole;
        if told && keep {
            let kept = self.tools.kept.join(state.name.replace([' ', '/'], "-"));
            let moved = keep_state(before, &kept, &state.promise);
            report(
                row,
                &state.name,
                outcome,
                moved.ok().map(|()| kept.as_path()),
            );
        } else if told {
            report(row, &state.name, outcome, None);
        }
        let _ = std::fs::remove_dir_all(before);
        told
    }
}

/// A copy of a state as it is before the check changes it.
fn copy_of(tools: &Tools, state: &State) -> std::io::Result<PathBuf> {
    let before = tools.path(&format!("before-{}", fastrand::u64(..)));
    crate::tools::copy(&state.folder, &before)?;
    Ok(before)
}

fn keep_state(before: &Path, kept: &Path, promise: &Promise) -> anyhow::Result<()> {
    if kept.exists() {
        std::fs::remove_dir_all(kept)?;
    }
    crate::tools::copy(before, kept)?;
    let promise = serde_json::to_vec(promise)?;
    Ok(std::fs::write(kept.join("promise.json"), promise)?)
}

fn report(row: &str, name: &str, outcome: &Outcome, kept: Option<&Path>) {
    let again = kept.map(|kept| format!("\n  again: torture check {}", kept.display()));
    tell(&format!(
        "{row}: {name}: {outcome:?}{}",
        again.unwrap_or_default()
    ));
}

/// Prints a line for people, at once.
fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a tree into a new folder.
pub(crate) fn materialize(tree: &Tree, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (path, content) in tree {
        match content {
            None => std::fs::create_dir_all(folder.join(path))?,
            Some(bytes) => std::fs::write(folder.join(path), bytes)?,
        }
    }
    Ok(())
}
