//! Recording: runs of the driver or the sidecar, one after another on one strand, under the recorder.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, ensure};
use boboyka_strand::Seq;

use crate::Tools;
use crate::acks::{Said, said};
use crate::log::Log;

/// The data folder's name below the root of a recording.
pub const DATA: &str = "data";

/// What `std::process::abort` ends with.
const SIGABRT: i32 = 6;

/// One process.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The driver's steps, with spaces between.
    pub steps: &'static str,
    /// Variables of the recorder.
    pub faults: Vec<(&'static str, String)>,
}

impl Run {
    /// A run without faults.
    pub fn of(steps: &'static str) -> Self {
        Self {
            steps,
            faults: Vec::new(),
        }
    }

    /// The same with a variable of the recorder.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.faults.push((name, value.to_string()));
        self
    }

    /// Whether the recorder may end it before its last step.
    fn may_break_off(&self) -> bool {
        let breaks = |name: &str| name.starts_with("TORTURE_FAIL") || name == "TORTURE_KILL_AT";
        self.faults.iter().any(|(name, _)| breaks(name))
    }

    /// Whether a driver that ended so has done its last step.
    fn is_done(&self, status: ExitStatus) -> bool {
        if self.steps.ends_with("kill") {
            status.signal() == Some(SIGABRT)
        } else {
            status.success()
        }
    }
}

/// What a strand has promised at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Promise {
    /// Acknowledged records: seq and hash.
    pub acked: Vec<(Seq, String)>,
    /// Below this floor nothing need be there.
    pub floor_max: Seq,
    /// At least this floor was acknowledged.
    pub floor_min: Seq,
    /// Published checkpoints: origin, size and root, with spaces between.
    #[serde(default)]
    pub checkpoints: Vec<String>,
}

/// What was recorded.
pub struct Recording {
    /// The folder around the data folder.
    pub root: PathBuf,
    /// Everything that happened.
    pub log: Log,
    said: Vec<(usize, Said)>,
}

impl Recording {
    /// Records runs on a new strand in the folder `name`.
    ///
    /// # Errors
    /// A run can't be started or recorded.
    pub fn make(tools: &Tools, name: &str, runs: &[Run]) -> anyhow::Result<Self> {
        let root = tools.folder(name)?;
        let log = tools.path(&format!("{name}.log"));
        for run in runs {
            drive(tools, &root, Some(&log), run)?;
        }
        Self::read(&log, root)
    }

    /// Reads the log of runs in `root`.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read(log: &Path, root: PathBuf) -> anyhow::Result<Self> {
        let log = Log::read(log)?;
        let said = said(&log);
        Ok(Self { root, log, said })
    }

    /// What had been promised before operation `cut`.
    pub fn promise(&self, cut: usize) -> Promise {
        let mut promise = Promise::default();
        let (mut pruning, before) = (false, self.said.iter().take_while(|(at, _)| *at < cut));
        for (_, said) in before {
            match said {
                Said::Receipt { seq, hash } => promise.acked.push((*seq, hash.clone())),
                Said::MayPrune => pruning = true,
                Said::Checkpoint(line) => promise.checkpoints.push(line.clone()),
                Said::Floor(seq) => {
                    pruning = false;
                    promise.floor_min = *seq;
                    promise.floor_max = *seq;
                }
            }
        }
        if pruning {
            // The floor of the pruning under way is known by what it came to later.
            let mut after = self.said.iter().skip_while(|(at, _)| *at < cut);
            promise.floor_max = after
                .find_map(|(_, said)| match said {
                    Said::Floor(seq) => Some(*seq),
                    Said::Receipt { .. } | Said::MayPrune | Said::Checkpoint(_) => None,
                })
                .unwrap_or(Seq::MAX);
        }
        promise
    }
}

/// A copy of a state that was kept, and what it had promised.
///
/// # Errors
/// The folder holds no such state.
pub fn kept(tools: &Tools, folder: &Path) -> anyhow::Result<(PathBuf, Promise)> {
    let copy = tools.folder("again")?;
    crate::tools::copy(folder, &copy)?;
    let promise = std::fs::read(folder.join("promise.json")).context("read promise.json")?;
    Ok((copy.join(DATA), serde_json::from_slice(&promise)?))
}

/// Runs the driver on the strand below `root`, and waits for its end.
///
/// # Errors
/// It can't be started, or it breaks off and the recorder is not to blame.
pub fn drive(tools: &Tools, root: &Path, log: Option<&Path>, run: &Run) -> anyhow::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let errors = tools.path("driver.err");
    let mut command = Command::new(&tools.driver);
    command.arg("drive").arg("--data").arg(root.join(DATA));
    command.args(run.steps.split_whitespace());
    preload(&mut command, tools, root, log, &run.faults);
    command
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .stderr(std::fs::File::create(&errors)?);
    let mut child = command.spawn().context("start the driver")?;
    // The command holds the other end until then.
    drop(command);
    let mut said = Vec::new();
    ours.read_to_end(&mut said)?;
    let status = child.wait()?;
    ensure!(
        run.may_break_off() || run.is_done(status),
        "the driver ends with {status} in {}: {}",
        run.steps,
        std::fs::read_to_string(&errors)?
    );
    Ok(())
}

/// Puts a command under the recorder.
pub fn preload(
    command: &mut Command,
    tools: &Tools,
    root: &Path,
    log: Option<&Path>,
    faults: &[(&'static str, String)],
) {
    command
        .env("LD_PRELOAD", &tools.shim)
        .env("TORTURE_ROOT", root);
    if let Some(log) = log {
        command.env("TORTURE_LOG", log);
    }
    command.envs(faults.iter().map(|(name, value)| (*name, value)));
}
