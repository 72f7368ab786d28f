//! `boboyka-cluster`: starts a cluster in the background and ends it, for trying the product by hand. Tests use the
//! library.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use boboyka_cluster::{Cluster, Tier, test_images};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// How long a cluster may take to come up.
const UP_LIMIT: Duration = Duration::from_mins(10);
/// How long it may take to go.
const DOWN_LIMIT: Duration = Duration::from_mins(2);

#[derive(Parser)]
#[command(about = "A real Kubernetes of this machine's own, for trying the product")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
    /// Where the kubeconfig, the tools and the log are.
    #[arg(long, default_value = "target/cluster", global = true)]
    folder: PathBuf,
}

#[derive(Subcommand)]
enum Action {
    /// Starts a cluster in the background.
    Up {
        /// The number of nodes; 0 gives a control plane alone, which needs no root.
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Ends it.
    Down,
    /// Runs a cluster until SIGINT or SIGTERM.
    Serve {
        /// The number of nodes; 0 gives a control plane alone, which needs no root.
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Action::Up { nodes } => up(&arguments.folder, nodes),
        Action::Down => down(&arguments.folder),
        Action::Serve { nodes } => serve(&arguments.folder, nodes).await,
    }
}

fn up(folder: &Path, nodes: u8) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    if running(folder).is_some() {
        bail!("a cluster is running already: stop it with `make cluster-down`");
    }
    let kubeconfig = folder.join("kubeconfig");
    let _ = std::fs::remove_file(&kubeconfig);
    let log = std::fs::File::create(folder.join("log"))?;
    let mut server = Command::new("setsid");
    server
        .arg(std::env::current_exe()?)
        .args(["serve", "--nodes", &nodes.to_string(), "--folder"])
        .arg(folder);
    server
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut server = server.spawn()?;
    let begun = Instant::now();
    while !kubeconfig.exists() {
        let told = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        ensure!(
            server.try_wait()?.is_none(),
            "the cluster did not start:\n{}",
            told()
        );
        ensure!(
            begun.elapsed() < UP_LIMIT,
            "the cluster did not start within {UP_LIMIT:?}:\n{}",
            told()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let folder = folder.canonicalize()?;
    say(&std::fs::read_to_string(folder.join("log"))?)?;
    say(&format!(
        "export KUBECONFIG={0}/kubeconfig PATH={0}/bin:$PATH   # then kubectl, helm; `make cluster-down` ends it",
        folder.display()
    ))
}

fn down(folder: &Path) -> Result<()> {
    let Some(pid) = running(folder) else {
        return say("no cluster is running");
    };
    let sent = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()?;
    ensure!(
        sent.success(),
        "could not send SIGTERM to the cluster's process {pid}"
    );
    let begun = Instant::now();
    while running(folder).is_some() {
        ensure!(
            begun.elapsed() < DOWN_LIMIT,
            "the cluster did not stop within {DOWN_LIMIT:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    say(&format!(
        "the cluster stopped after {:.1} s",
        begun.elapsed().as_secs_f64()
    ))
}

async fn serve(folder: &Path, nodes: u8) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    std::fs::write(folder.join("pid"), std::process::id().to_string())?;
    // Without nodes no image has a place to go, and no root is needed.
    let (tier, images) = match nodes {
        0 => (Tier::Api, Vec::new()),
        _ => (Tier::Nodes(nodes), test_images()?),
    };
    let cluster = tokio::select! {
        cluster = Cluster::start(tier, &images) => cluster?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin)?;
    for tool in std::fs::read_dir(cluster.bin())? {
        let tool = tool?;
        let place = bin.join(tool.file_name());
        let _ = std::fs::remove_file(&place);
        // Links lead into the cache; the one wrapper is copied, for it goes away with the cluster.
        match std::fs::read_link(tool.path()) {
            Ok(program) => std::os::unix::fs::symlink(program, &place)?,
            Err(_) => drop(std::fs::copy(tool.path(), &place)?),
        }
    }
    let unfinished = folder.join("kubeconfig.unfinished");
    std::fs::write(&unfinished, cluster.standalone_kubeconfig()?)?;
    std::fs::write(folder.join("name"), cluster.name())?;
    std::fs::rename(&unfinished, folder.join("kubeconfig"))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    drop(cluster);
    let _ = std::fs::remove_file(folder.join("kubeconfig"));
    let _ = std::fs::remove_file(folder.join("pid"));
    Ok(())
}

/// The process that serves a folder's cluster, if it still runs.
fn running(folder: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(folder.join("pid"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A process that waits to be reaped is gone.
    let ours = stat.contains("(boboyka-cluster") && !stat.contains(") Z ");
    ours.then_some(pid)
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("could not print")
}
