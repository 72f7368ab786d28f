//! `make run-with-supabase` leaves no process and no file behind, whatever ends it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use boboyka_tests::process::{Process, free_address, signal, wait_until};
use tempfile::TempDir;

/// How long starting or ending may take, on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

struct Running {
    process: Process,
    folder: TempDir,
    _log: TempDir,
}

impl Running {
    /// Starts it with one folder for all its files; returns once the sidecar is ready.
    async fn start() -> Self {
        let (folder, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let observe = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_local-supabase"));
        command
            .env("TMPDIR", folder.path())
            .env("BOBOYKA_LISTEN", free_address().to_string())
            .env("BOBOYKA_OBSERVE", observe.to_string());
        let process = Process::start(&mut command, &log.path().join("log"));
        let (client, ready) = (boboyka_tests::client(), format!("http://{observe}/ready"));
        wait_until(
            LIMIT,
            || async { client.get(&ready).send().await.is_ok() },
            || format!("it did not start:\n{}", process.log()),
        )
        .await;
        Self {
            process,
            folder,
            _log: log,
        }
    }

    /// The processes that use its folder: id and command line.
    fn processes(&self) -> Vec<(String, String)> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let all = all.map(|entry| entry.path());
        let of_ours = all.filter_map(|process| {
            let line = std::fs::read(process.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let pid = process.file_name()?.to_string_lossy().into_owned();
            works_in(&process, &line, self.folder.path()).then_some((pid, line))
        });
        of_ours.collect()
    }

    /// The process with this in its command line.
    fn pid_of(&self, what: &str) -> String {
        let processes = self.processes();
        let found = processes.iter().find(|(_, line)| line.contains(what));
        found
            .unwrap_or_else(|| panic!("{what}: {processes:?}"))
            .0
            .clone()
    }

    async fn leaves_nothing(mut self, after: &str) {
        wait_until(
            LIMIT,
            || {
                let ended = self.process.has_ended();
                let files = self.folder.path().read_dir().unwrap().count();
                let gone = ended && files == 0 && self.processes().is_empty();
                async move { gone }
            },
            || format!("something stayed after {after}"),
        )
        .await;
    }
}

/// Whether a process uses a folder, by its command line, environment or working folder.
fn works_in(process: &Path, line: &str, folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    let stands: PathBuf = std::fs::read_link(process.join("cwd")).unwrap_or_default();
    line.contains(folder)
        || String::from_utf8_lossy(&environment).contains(folder)
        || stands.starts_with(folder)
}

#[tokio::test]
async fn a_signal_or_a_closed_terminal_ends_all_of_it() {
    for name in ["TERM", "HUP", "INT"] {
        let running = Running::start().await;
        for part in ["boboyka-sidecar", "postgrest", "postgres"] {
            running.pid_of(part);
        }
        running.process.signal(name);
        running.leaves_nothing(name).await;
    }
}

#[tokio::test]
async fn all_of_it_ends_when_any_part_of_it_is_killed() {
    for part in ["local-supabase ", "--inside", "local-supabase-guard"] {
        let running = Running::start().await;
        signal(&running.pid_of(part), "KILL");
        running.leaves_nothing(part).await;
    }
}
