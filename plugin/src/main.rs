//! The program `kubectl-boboyka`, which kubectl runs as `kubectl boboyka`.

use std::process::ExitCode;

use boboyka_plugin::{Cli, run};
use clap::Parser as _;

fn main() -> ExitCode {
    run(Cli::parse())
}
