//! Where a person works, and what commands print there.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use boboyka_cluster::Cluster;
use serde_json::Value;

use crate::agents::Agents;

/// Where a person works: a kubeconfig whose context names the namespace, and the programs on the path.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    path: String,
    pub(super) namespace: String,
}

impl Desk {
    pub(crate) fn new(cluster: &Cluster, agents: &Agents) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let namespace = agents.namespace.name().to_owned();
        let config = folder.path().join("kubeconfig");
        std::fs::copy(cluster.kubeconfig(), &config).unwrap();
        let programs = boboyka_tests::sidecar::binary();
        let path = format!(
            "{}:{}:{}",
            cluster.bin().display(),
            programs.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let desk = Self {
            folder,
            path,
            namespace,
        };
        let set = format!(
            "kubectl config set-context --current --namespace={}",
            desk.namespace
        );
        assert!(desk.run(&set).status.success());
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command line that is not started yet.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path());
        command
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.file("kubeconfig"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end.
    pub(super) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that ends with this code; what it printed.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that does not end with 0 told the person.
    pub(super) fn complains(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The answer of a command for programs.
    #[track_caller]
    pub(super) fn json(&self, code: i32, line: &str) -> Value {
        serde_json::from_str(&self.ends(code, &format!("{line} -o json"))).unwrap()
    }
}
