//! Durable ingest against the references, each load on each server in turn: rate, latency, processor time.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use boboyka_tests::Sidecar;

use crate::figure::Figure;
use crate::load::{Latencies, Load, MEASURE};
use crate::measured::{Measured, Reference};

/// What the sidecar is compared with.
const REFERENCES: [&str; 3] = ["echo", "raw", "chained"];
/// Length of the file in which bytes are synced without any server.
const SYNC_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// One server under one load, over the rounds.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    cpu_seconds: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Rounds {
    async fn run(&mut self, load: &Load, server: Measured) {
        let cpu_before = server.cpu_seconds();
        let sample = load.run(server.address, MEASURE).await;
        let cpu = server.cpu_seconds() - cpu_before;
        self.rates.push(sample.rate);
        self.cpu_seconds
            .push(cpu / sample.records as f64 * 100_000.0);
        self.push(&sample.latencies);
    }

    fn push(&mut self, latencies: &Latencies) {
        self.p50.push(latencies.quantile_us(0.5));
        self.p99.push(latencies.quantile_us(0.99));
    }
}

/// Prints rates and ratios of each load.
pub(crate) async fn compare(loads: &[Load], rounds: usize, before: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let [echo, raw, chained] = REFERENCES.map(|kind| Reference::start(kind, folder.path()));
    let references = [echo.await, raw.await, chained.await];
    let mut sidecar = Sidecar::start().await;
    let mut servers = vec![Measured::of(&mut sidecar)];
    servers.extend(references.iter().map(|reference| reference.measured));
    let mut other = None;
    if let Some(program) = before {
        let other = other.insert(Sidecar::start().await);
        other.replace_by(program).await;
        servers.push(Measured::of(other));
    }
    tokio::time::sleep(IDLE).await;
    println!(
        "idle sidecar: resident {:.1} MiB",
        servers[0].resident_mib()
    );
    for load in loads {
        let mut measured: Vec<_> = servers.iter().map(|_| Rounds::default()).collect();
        let mut syncs = Rounds::default();
        for _ in 0..rounds {
            for (rounds, server) in measured.iter_mut().zip(&servers) {
                rounds.run(load, *server).await;
            }
            if load.connections() == 1 {
                syncs.push(&sync_alone(folder.path(), &load.a_body()));
            }
        }
        say(load, measured);
        if load.connections() == 1 {
            say_latency_of_syncs(syncs);
        }
    }
    println!(
        "peak of the sidecar under these loads: {:.1} MiB",
        servers[0].peak_mib()
    );
}

fn say(load: &Load, measured: Vec<Rounds>) {
    let mut measured = measured.into_iter();
    let mut next = || measured.next().unwrap();
    let (sidecar, echo, raw, chained) = (next(), next(), next(), next());
    let before = measured.next();
    let cpu = Figure::of(sidecar.cpu_seconds);
    let raw_cpu = Figure::of(raw.cpu_seconds);
    let (p50, p99) = (Figure::of(sidecar.p50), Figure::of(sidecar.p99));
    let [sidecar, echo, raw, chained] =
        [sidecar.rates, echo.rates, raw.rates, chained.rates].map(Figure::of);
    println!("{load}: sidecar {sidecar}/s  raw {raw}/s  chained {chained}/s  echo {echo}/s");
    println!(
        "    sidecar ÷ raw {:.2}   ÷ chained {:.2}   ÷ echo {:.2}",
        sidecar.median / raw.median,
        sidecar.median / chained.median,
        sidecar.median / echo.median,
    );
    println!(
        "    processor seconds per 100,000 records: {cpu:.2}, raw {raw_cpu:.2}, ratio {:.2}; p50 {p50} µs, p99 {p99} µs",
        cpu.median / raw_cpu.median
    );
    if let Some(before) = before {
        let (rate, cpu_before) = (Figure::of(before.rates), Figure::of(before.cpu_seconds));
        println!(
            "    the other build {rate}/s, {cpu_before:.2} processor seconds; sidecar ÷ other build {:.2}, of the processor {:.2}",
            sidecar.median / rate.median,
            cpu.median / cpu_before.median
        );
    }
}

fn say_latency_of_syncs(syncs: Rounds) {
    let (p50, p99) = (Figure::of(syncs.p50), Figure::of(syncs.p99));
    println!(
        "    write and fdatasync of the same bytes, without a server: p50 {p50} µs, p99 {p99} µs"
    );
}

/// Latencies of one write and `fdatasync` after the other, in a preallocated file.
fn sync_alone(folder: &Path, bytes: &[u8]) -> Latencies {
    let path = folder.join("synced");
    let file = preallocated(&path, SYNC_FILE_BYTES);
    let (begun, mut at) = (Instant::now(), 0);
    let mut latencies = Latencies::default();
    while begun.elapsed() < MEASURE {
        let one = Instant::now();
        file.write_all_at(bytes, at).unwrap();
        file.sync_data().unwrap();
        latencies.push(one.elapsed());
        at = (at + bytes.len() as u64) % (SYNC_FILE_BYTES - bytes.len() as u64);
    }
    latencies
}

/// A file of zeros that are on the disk, so that no later sync has to write metadata.
pub(crate) fn preallocated(path: &Path, len: u64) -> File {
    let file = File::create(path).unwrap();
    let zeros = vec![0; 1024 * 1024];
    for at in (0..len).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).unwrap();
    }
    file.sync_all().unwrap();
    file
}

/// For how long a server is left alone before its memory counts as that of an idle one.
pub(crate) const IDLE: Duration = Duration::from_secs(5);
