//! The namespaces that a cluster runs in, and commands in them. The guard, a shell of its own, ends them when this
//! process ends.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

const GUARD: &str = include_str!("guard.sh");

/// How long a namespace may take to be there, on a busy machine.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A cluster's own namespaces.
#[derive(Debug)]
pub(crate) struct Namespaces {
    guard: Child,
    hold: Option<ChildStdin>,
    pub(crate) first: u32,
    pub(crate) state: PathBuf,
    pub(crate) flags: Vec<&'static str>,
}

impl Namespaces {
    /// Makes them. With nodes they need root; without, a user namespace is enough and the network is the machine's.
    pub(crate) fn new(state: &Path, name: &str, nodes: bool) -> Result<Self> {
        let (unshare, flags): (&[&str], _) = if nodes {
            (
                &["--mount", "--pid", "--net"],
                vec!["--mount", "--pid", "--net"],
            )
        } else {
            (
                &["--user", "--map-root-user", "--mount", "--pid"],
                vec!["--user", "--preserve-credentials", "--mount", "--pid"],
            )
        };
        let log = std::fs::File::create(state.join("guard.log"))?;
        let mut guard = Command::new("setsid");
        guard
            .args(["--wait", "bash", "-c", GUARD, "guard"])
            .arg(state)
            .arg(name)
            .args(unshare)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        let mut guard = guard.spawn().context("could not start the guard")?;
        let hold = guard.stdin.take();
        let unshare: u32 = poll("the guard's first process", || {
            std::fs::read_to_string(state.join("unshare.pid"))
                .ok()?
                .trim()
                .parse()
                .ok()
        })?;
        let first = poll("the namespaces", || child_of(unshare)).with_context(|| {
            std::fs::read_to_string(state.join("guard.log")).unwrap_or_default()
        })?;
        // Its /proc is mounted last.
        poll("the namespaces' first process", || {
            let line = std::fs::read(format!("/proc/{first}/cmdline")).ok()?;
            line.starts_with(b"bash").then_some(())
        })?;
        Ok(Self {
            guard,
            hold,
            first,
            state: state.to_owned(),
            flags,
        })
    }

    /// A command in the namespaces of a process.
    pub(crate) fn command_at(&self, pid: u32, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &pid.to_string()])
            .args(&self.flags)
            .arg("--")
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Runs a shell script in the namespaces of a process; what it printed.
    pub(crate) fn script(&self, pid: u32, script: &str) -> Result<String> {
        let mut command = self.command_at(pid, "bash");
        command.args(["-euc", script]);
        run(&mut command)
    }

    /// Starts a process that holds a mount and a network namespace of its own within these.
    pub(crate) fn nested(&self) -> Result<(Child, u32)> {
        let mut command = self.command_at(self.first, "unshare");
        command.args(["--mount", "--net", "--", "sleep", "infinity"]);
        let holder = command.spawn()?;
        let pid = poll("a node's namespaces", || {
            let pid = child_of(holder.id())?;
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            line.starts_with(b"sleep").then_some(pid)
        })?;
        Ok((holder, pid))
    }

    /// Ends everything in them and waits until it is gone.
    pub(crate) fn end(&mut self) {
        drop(self.hold.take());
        let _ = self.guard.wait();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.end();
    }
}

/// The first child of a process.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Asks until there is an answer.
pub(crate) fn poll<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        ensure!(
            begun.elapsed() < START_LIMIT,
            "{what}: not there after {START_LIMIT:?}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a command to its end; what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("could not run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
