//! What all parts of one cluster stand on: its namespaces, programs and certificates, and the processes in them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Result, bail};

use crate::namespaces::{Namespaces, child_of, poll, run};
use crate::pki::Pki;
use crate::tools::Tools;

/// The API server's address on the nodes' bridge.
pub(crate) const BRIDGE: &str = "10.99.0.1";

/// One process of a cluster.
#[derive(Debug)]
pub struct Component {
    target: u32,
    arguments: Vec<String>,
    log: PathBuf,
    entry: Child,
    pid: u32,
}

impl Component {
    /// Its process id, as this machine sees it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        run(Command::new("kill").args(["-KILL", &self.pid.to_string()]))?;
        self.entry.wait()?;
        Ok(())
    }

    /// Waits until it is gone.
    pub(crate) fn wait(&mut self) {
        let _ = self.entry.wait();
    }
}

/// What the parts of one cluster share.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) pki: Pki,
    pub(crate) tools: Tools,
    pub(crate) name: String,
    // Last, so that it is the last to go.
    pub(crate) namespaces: Namespaces,
}

impl Base {
    /// The cluster's folder.
    pub(crate) fn state(&self) -> &Path {
        &self.namespaces.state
    }

    /// The end of a part's log.
    pub(crate) fn log_end(&self, part: &str) -> String {
        let text = std::fs::read(self.state().join("log").join(part)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Starts a process in the namespaces of another.
    pub(crate) fn spawn(
        &self,
        target: u32,
        name: &str,
        arguments: Vec<String>,
    ) -> Result<Component> {
        let folder = self.state().join("log");
        std::fs::create_dir_all(&folder)?;
        let log = folder.join(name);
        let (entry, pid) = self.enter(target, &arguments, &log)?;
        Ok(Component {
            target,
            arguments,
            log,
            entry,
            pid,
        })
    }

    /// Starts a process again that was killed.
    pub(crate) fn restart(&self, component: &mut Component) -> Result<()> {
        let _ = component.entry.kill();
        let _ = component.entry.wait();
        (component.entry, component.pid) =
            self.enter(component.target, &component.arguments, &component.log)?;
        Ok(())
    }

    fn enter(&self, target: u32, arguments: &[String], log: &Path) -> Result<(Child, u32)> {
        let [program, rest @ ..] = arguments else {
            bail!("no program")
        };
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = self.namespaces.command_at(target, program);
        command
            .args(rest)
            .env("PATH", self.tools.path())
            .stdout(log.try_clone()?)
            .stderr(log);
        let entry = command.spawn()?;
        let pid = poll(program, || child_of(entry.id()))?;
        Ok((entry, pid))
    }
}
