//! The benchmark of the operator: admission, a large fleet, a phase that is put in force, and pods that become ready.
//!
//! Every figure is a median over rounds with the spread of the rounds, and stands beside a reference that was measured in
//! the same interleaved run. Aims are printed beside the figures; nothing passes or fails by time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program for people, which stops where something is wrong"
)]

mod admission;
mod calls;
mod echo;
mod figure;
mod fleet;
mod operator;
mod phase;
mod ready;
mod stage;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Reviews of pods, straight to the operator and through the API server.
    Admission,
    /// Memory, CPU and writes with many pods and strands.
    Fleet,
    /// From an edit of the phase until a hundred sidecars obey.
    Phase,
    /// From creating a pod until it is ready, on real nodes.
    Ready,
}

/// Measures the operator, each figure beside a reference of the same run.
#[derive(Parser)]
struct Bench {
    /// What to measure; all of it by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Rounds of each measurement, instead of its own number.
    #[arg(long)]
    rounds: Option<usize>,
    /// Serve the reference of admission instead, at this address.
    #[arg(long, hide = true, requires = "folder")]
    serve_echo: Option<SocketAddr>,
    /// The folder with its certificate and key.
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    /// Cargo gives it to every benchmark.
    #[arg(long = "bench", hide = true)]
    _as_cargo_asks: bool,
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bench = Bench::parse();
    if let (Some(address), Some(folder)) = (bench.serve_echo, &bench.folder) {
        return echo::serve(address, folder).await;
    }
    let wanted = |part: Part| bench.only.is_empty() || bench.only.contains(&part);
    let rounds = |usual: usize| bench.rounds.unwrap_or(usual).max(1);
    if wanted(Part::Admission) {
        Box::pin(admission::measure(rounds(5))).await;
    }
    if wanted(Part::Fleet) {
        Box::pin(fleet::measure(rounds(6))).await;
    }
    if wanted(Part::Phase) {
        Box::pin(phase::measure(rounds(5))).await;
    }
    if wanted(Part::Ready) {
        Box::pin(ready::measure(rounds(10))).await;
    }
}
