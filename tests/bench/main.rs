//! The benchmark: durable ingest against two references in one interleaved run, then the mirror's drain
//! against the same rows inserted by hand, then what a large strand takes of disk, memory and time.
//!
//! The references stand behind the same HTTP server and check the same records: `echo` keeps nothing
//! (the limit of HTTP), `file` appends blocks to one plain file with group commit and fdatasync (the
//! limit of durability). Every figure is a ratio of medians over the rounds, with the spread of the
//! rounds; absolute figures are there to see that the ratios mean something.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program for people, which stops where something is wrong"
)]

mod drain;
mod figure;
mod large;
mod load;
mod reference;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boboyka_tests::Sidecar;
use boboyka_tests::process::{Process, free_address, wait_until};
use clap::Parser;

use figure::Figure;
use load::{Load, MEASURE, address};

/// Ratios of durable ingest to an HTTP echo and to a plain append file.
#[derive(Parser)]
struct Bench {
    /// Rounds over all measurements.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Records of the large strand.
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// Connections of the loads with one record a request.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    connections: Vec<usize>,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_values = ["single", "batch", "drain", "large"])]
    only: Vec<String>,
    /// Serve a reference instead: `echo` or `file`.
    #[arg(long, hide = true)]
    serve: Option<String>,
    /// Its address.
    #[arg(long, hide = true)]
    listen: Option<SocketAddr>,
    /// Its folder.
    #[arg(long, hide = true)]
    folder: Option<std::path::PathBuf>,
}

#[tokio::main]
async fn main() {
    let bench = Bench::parse();
    if let (Some(kind), Some(listen), Some(folder)) = (&bench.serve, bench.listen, &bench.folder) {
        return reference::serve(kind, listen, folder).await;
    }
    let wanted = |part: &str| bench.only.iter().any(|name| name == part);
    let mut loads = Vec::new();
    if wanted("single") {
        loads.extend(bench.connections.iter().copied().map(Load::single));
    }
    if wanted("batch") {
        loads.push(Load::batch(16, 1000));
    }
    ingest(&loads, bench.rounds).await;
    if wanted("drain") {
        drain::compare(bench.rounds).await;
    }
    if wanted("large") {
        large::compare(bench.records).await;
    }
}

/// Durable ingest, each load on each server in turn.
async fn ingest(loads: &[Load], rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let echo = Reference::start("echo", folder.path()).await;
    let file = Reference::start("file", folder.path()).await;
    let sidecar = Sidecar::start().await;
    let servers = [echo.address, file.address, address(&sidecar)];
    for load in loads {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (rate, address) in rates.iter_mut().zip(servers) {
                rate.push(load.run(address, MEASURE).await);
            }
        }
        let [echo, file, sidecar] = rates.map(Figure::of);
        println!("{load}: sidecar {sidecar}/s  file {file}/s  echo {echo}/s");
        println!(
            "    sidecar ÷ file {:.2}   sidecar ÷ echo {:.2}   file ÷ echo {:.2}",
            sidecar.median / file.median,
            sidecar.median / echo.median,
            file.median / echo.median
        );
    }
}

/// A reference server in a process of its own.
struct Reference {
    _process: Process,
    address: SocketAddr,
}

impl Reference {
    async fn start(kind: &str, folder: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--serve",
                kind,
                "--listen",
                &address.to_string(),
                "--folder",
            ])
            .arg(folder);
        let process = Process::start(&mut command, &folder.join(format!("{kind}.log")));
        wait_until(
            Duration::from_secs(10),
            || async move { tokio::net::TcpStream::connect(address).await.is_ok() },
            || format!("the reference did not start: {}", process.log()),
        )
        .await;
        Self {
            _process: process,
            address,
        }
    }
}
