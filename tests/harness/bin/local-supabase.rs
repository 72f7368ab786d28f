//! Runs a Supabase and a sidecar on this machine, for trying the product by hand, and discards their data
//! at the end.
//!
//! Whatever ends it, all of it ends. The process that make starts has two children in a process group of
//! their own, which signals of the terminal do not reach: the worker, which runs everything, and a guard,
//! which reads from a pipe. When the pipe closes, the guard ends the worker and the rest of the group and
//! removes their folder. When a child ends, the process closes the pipe.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use boboyka_tests::{Supabase, sidecar};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// The integration, which the user may edit.
const EXAMPLE: &str = include_str!("../../../examples/integration.yaml");
const GUARD: &str = include_str!("local-supabase.sh");
/// The argument of the worker.
const INSIDE: &str = "--inside";
/// How long the worker may take to end in order: longer than the sidecar's drain.
const END_LIMIT: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        None => outside().await,
        Some(INSIDE) => inside().await,
        Some(other) => anyhow::bail!("{other} is not known: local-supabase takes no arguments"),
    }
}

/// Starts guard and worker, and waits for a signal or for the end of one of them.
async fn outside() -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new()
        .prefix("local-supabase")
        .tempdir()?;
    // Postgres runs as another user where this one is root.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let mut guard = Command::new("sh")
        .args(["-c", GUARD, "local-supabase-guard"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("could not start sh")?;
    let mut pipe = guard.stdin.take().context("the guard has no input")?;
    let group = guard.id().context("the guard ended at once")?;
    let mut worker = start_worker(folder.path(), i32::try_from(group)?)?;
    let line = format!("{}\n", worker.id().context("the worker ended at once")?);
    pipe.write_all(line.as_bytes()).await?;
    tokio::select! {
        told = told_to_end() => told?,
        _ = worker.wait() => {}
        _ = guard.wait() => {}
    }
    drop(pipe);
    guard.wait().await?;
    end_what_is_left(&mut worker, group).await?;
    let status = worker.wait().await?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Starts this program as the worker, in the group of the guard, with its files in one folder.
fn start_worker(folder: &Path, group: i32) -> anyhow::Result<Child> {
    let worker = Command::new(std::env::current_exe()?)
        .arg(INSIDE)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .process_group(group)
        .spawn();
    worker.context("could not start the worker")
}

/// Ends the worker and its group if the guard did not, because it was killed.
async fn end_what_is_left(worker: &mut Child, group: u32) -> anyhow::Result<()> {
    let Some(pid) = worker.id() else {
        return Ok(());
    };
    send("TERM", &pid.to_string()).await?;
    let _ = tokio::time::timeout(END_LIMIT, worker.wait()).await;
    send("KILL", &format!("-{group}")).await
}

/// Sends a signal to a process or a group; either may be gone already.
async fn send(name: &str, to: &str) -> anyhow::Result<()> {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, "--", to]).stderr(Stdio::null());
    kill.status().await?;
    Ok(())
}

/// Waits for a signal to end. A closed terminal sends one.
async fn told_to_end() -> anyhow::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        _ = hung_up.recv() => {}
        _ = quit.recv() => {}
    }
    Ok(())
}

/// Runs Supabase and the sidecar until a signal, then ends the sidecar first.
async fn inside() -> anyhow::Result<ExitCode> {
    let told_to_end = told_to_end();
    tokio::pin!(told_to_end);
    let supabase = tokio::select! {
        supabase = Supabase::start() => supabase,
        told = &mut told_to_end => return told.map(|()| ExitCode::SUCCESS),
    };
    println!(
        "Supabase's REST API is at {0}/rest/v1, its tables are empty.\n\
         To see the rows:  curl -sS {0}/rest/v1/agent_health \\\n  \
         -H 'apikey: {1}' -H 'authorization: Bearer {1}'    (the key is a test's own)",
        supabase.url(),
        supabase.jwt_key()
    );
    // A kept strand would remember having mirrored to a Supabase that is gone.
    let strand = tempfile::tempdir()?;
    let file = strand.path().join("integration.yaml");
    std::fs::write(&file, EXAMPLE)?;
    println!(
        "To change the phase, edit {0}, or:  {1} phase --integration {0} --to MigrateInternals",
        file.display(),
        sidecar::binary().display()
    );
    let mut sidecar = Command::new(sidecar::binary())
        .arg("--integration")
        .arg(&file)
        .arg("--supabase-dir")
        .arg(supabase.folder())
        .arg("--data-dir")
        .arg(strand.path().join("data"))
        .spawn()?;
    let ended = tokio::select! {
        told = told_to_end => {
            told?;
            None
        }
        ended = sidecar.wait() => Some(ended?),
    };
    if let (None, Some(pid)) = (&ended, sidecar.id()) {
        send("TERM", &pid.to_string()).await?;
    }
    let status = sidecar.wait().await?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
