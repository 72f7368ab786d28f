//! The benchmark: durable ingest against two references in one interleaved run, then the mirror's drain
//! against the same rows inserted by hand, then the memory while somebody has the panel open, then what comparing the tables with
//! the strand costs, then what a large strand takes of disk, memory and time, and what questions for its past take.
//!
//! The references stand behind the same HTTP library: `echo` keeps nothing (the limit of HTTP); `raw` parses
//! the JSON and appends the request's bytes to one preallocated file with group commit and fdatasync (the limit
//! of durability); `chained` checks, hashes, links and answers each record as the product does, and appends
//! the blocks to a plain file. Every figure is a ratio of medians over the rounds, with the spread of the
//! rounds; absolute figures are there to see that the ratios mean something.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a program for people, which stops where something is wrong"
)]

mod drain;
mod figure;
mod ingest;
mod large;
mod load;
mod measured;
mod panel;
mod parity;
mod reference;
mod state;

use std::net::SocketAddr;

use clap::Parser;
use load::Load;

/// The references get a good allocator: the product is not to win by a bad one of theirs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ratios of durable ingest to an HTTP echo and to plain append files.
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
    #[arg(long, value_delimiter = ',', default_values = ["single", "batch", "panel", "drain", "parity", "large", "state"])]
    only: Vec<String>,
    /// Another build of the sidecar, measured in the same run.
    #[arg(long, value_name = "PROGRAM")]
    before: Option<std::path::PathBuf>,
    /// Serve a reference instead: `echo`, `raw` or `chained`.
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
    if !loads.is_empty() {
        ingest::compare(&loads, bench.rounds, bench.before.as_deref()).await;
    }
    if wanted("panel") {
        panel::measure().await;
    }
    if wanted("drain") {
        drain::compare(bench.rounds).await;
    }
    if wanted("parity") {
        let records = bench.records.min(1_000_000);
        let connections = [1, 16];
        parity::compare(records, &connections, bench.rounds).await;
    }
    if wanted("large") {
        large::compare(bench.records).await;
    }
    if wanted("state") {
        state::compare(bench.records).await;
    }
}
