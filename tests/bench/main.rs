//! The benchmark: durable ingest against two references in one interleaved run, then what a large
//! strand takes of disk, memory and time.
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

mod load;
mod reference;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use boboyka_tests::Sidecar;
use boboyka_tests::process::{Process, free_address, wait_until};
use clap::Parser;

use load::Load;

/// How long one measurement takes.
const MEASURE: Duration = Duration::from_secs(2);

/// Ratios of durable ingest to an HTTP echo and to a plain append file.
#[derive(Parser)]
struct Bench {
    /// Rounds over all measurements.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Records of the large strand.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
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
    let folder = tempfile::tempdir().unwrap();
    let echo = Reference::start("echo", folder.path()).await;
    let file = Reference::start("file", folder.path()).await;
    let sidecar = Sidecar::start().await;
    let own: SocketAddr = sidecar
        .url("")
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let cells: Vec<_> = [1, 16, 64, 256].map(Load::single).into();
    for load in cells.into_iter().chain([Load::batch(16, 1000)]) {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..bench.rounds {
            for (rate, address) in rates.iter_mut().zip([echo.address, file.address, own]) {
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
    drop((echo, file, sidecar));
    large_strand(bench.records).await;
}

/// Fills a strand and says what it takes.
async fn large_strand(records: u64) {
    let mut sidecar = Sidecar::start().await;
    let address: SocketAddr = sidecar
        .url("")
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let load = Load::batch(4, 1000);
    let (begun, mut peak) = (Instant::now(), 0);
    while sidecar.get("/v1/boboyka/status").await["total_events"]
        .as_u64()
        .unwrap()
        < records
    {
        load.run(address, MEASURE).await;
        peak = peak.max(resident_mib(sidecar.process().pid()));
    }
    let total = sidecar.get("/v1/boboyka/status").await["total_events"]
        .as_u64()
        .unwrap();
    println!(
        "{total} records in {:.0} s, batches of 1000 at 4",
        begun.elapsed().as_secs_f64()
    );
    println!("    resident: peak between loads {peak} MiB");
    let raw = Load::raw_bytes_per_record() * total as f64;
    let disk = folder_bytes(&sidecar.data_dir()) as f64;
    println!(
        "    disk ÷ raw blocks: {:.2} ({:.0} B a record)",
        disk / raw,
        disk / total as f64
    );
    let mut opens = Vec::new();
    for _ in 0..5 {
        sidecar.kill_9();
        let begun = Instant::now();
        sidecar.restart().await;
        opens.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    println!(
        "    from start to ready after kill -9: {} ms",
        Figure::of(opens)
    );
    let begun = Instant::now();
    let verdict = sidecar.request(reqwest::Method::GET, "/v1/boboyka/verify");
    let text = verdict
        .timeout(Duration::from_mins(10))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.lines().last().unwrap().contains("\"ok\":true"),
        "{text}"
    );
    println!(
        "    verify: {:.0} records/s",
        total as f64 / begun.elapsed().as_secs_f64()
    );
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

/// A median and its spread.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        Self {
            median: values[values.len() / 2],
            least,
            most,
        }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} [{:.0}–{:.0}]", self.median, self.least, self.most)
    }
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| {
            let file = entry.metadata().unwrap();
            if file.is_dir() {
                folder_bytes(&entry.path())
            } else {
                file.len()
            }
        })
        .sum()
}
