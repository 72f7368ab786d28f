//! `make torture`: everything, and one table at the end. `torture check FOLDER` checks a failing state again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use boboyka_torture::check::{Outcome, check};
use boboyka_torture::drive::{Step, drive};
use boboyka_torture::rows::Kind;
use boboyka_torture::tamper::{tamper, tamper_disk};
use boboyka_torture::torture::{Size, Torture};
use boboyka_torture::{Tools, record};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tortures the sidecar that was built beside this program.
    Run {
        /// How much: each round is some twenty minutes.
        #[arg(long, default_value_t = 1)]
        rounds: usize,
        /// Chooses the states.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only rows of this kind.
        #[arg(long)]
        only: Option<Kind>,
        /// Prints and keeps told losses too.
        #[arg(long)]
        verbose: bool,
        /// As little as in `make test`.
        #[arg(long)]
        small: bool,
    },
    /// Checks a state that was kept, on a copy of it.
    Check {
        /// The folder that the report names.
        folder: PathBuf,
    },
    /// Tampers with the records of strands, and says what told of it.
    Tamper {
        /// How often.
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// How often with data folders.
        #[arg(long, default_value_t = 400)]
        folders: usize,
        /// Chooses the tamperings.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Works on a store by steps; the torture calls this itself.
    Drive {
        /// The data folder.
        #[arg(long)]
        data: PathBuf,
        /// Such as `singles:5 batch:100x300 sealed kill`.
        steps: Vec<Step>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run {
            rounds,
            seed,
            only,
            verbose,
            small,
        } => {
            let tools = Tools::new(std::env::current_exe()?)?;
            let size = if small {
                Size::SMALL
            } else {
                Size::rounds(rounds)
            };
            let mut torture = Torture::new(&tools, seed, size);
            torture.verbose = verbose;
            torture.run(only).await?;
            say(&format!("\nSEED={seed}\n{}", torture.table));
            Ok(ExitCode::from(u8::from(torture.table.failures() > 0)))
        }
        Command::Check { folder } => again(&folder).await,
        Command::Tamper {
            count,
            folders,
            seed,
        } => {
            let tools = Tools::new(std::env::current_exe()?)?;
            let tables = [tamper(count, seed), tamper_disk(&tools, folders, seed)?];
            let failures = tables.iter().map(|table| table.missed() + table.alarms());
            let failures: usize = failures.sum();
            for table in &tables {
                say(&format!("\nSEED={seed}\n{table}"));
            }
            Ok(ExitCode::from(u8::from(failures > 0)))
        }
        Command::Drive { data, steps } => {
            drive(&data, &steps).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn again(folder: &Path) -> anyhow::Result<ExitCode> {
    let tools = Tools::new(std::env::current_exe()?)?;
    let (copy, promise) = record::kept(&tools, folder)?;
    let outcome = check(&tools, &copy, &promise).await;
    say(&format!("{outcome:?}"));
    Ok(ExitCode::from(u8::from(outcome != Outcome::Whole)))
}

fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{text}");
}
