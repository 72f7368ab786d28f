//! The command line of the operator.

use std::io::{Write, stderr};
use std::process::ExitCode;

use boboyka_operator::config::Config;
use boboyka_operator::{run, telemetry};
use clap::Parser;

fn main() -> ExitCode {
    let config = Config::parse();
    telemetry::start();
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that has gone away is no reason to end otherwise.
            let _ = writeln!(stderr(), "boboyka-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    // The one TLS provider; libraries are built to take what is installed here.
    let installed = rustls::crypto::ring::default_provider().install_default();
    anyhow::ensure!(
        installed.is_ok(),
        "a TLS provider was installed before this one"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(config))?;
    Ok(())
}
