//! The command line of the operator.

use std::process::ExitCode;

use boboyka_operator::config::Config;
use boboyka_operator::{make_witness_key, run, telemetry};
use clap::Parser;

fn main() -> ExitCode {
    let config = Config::parse();
    telemetry::start();
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            telemetry::end(&error);
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    // The only TLS provider: libraries are built without one and use what is installed here.
    let installed = rustls::crypto::ring::default_provider().install_default();
    anyhow::ensure!(
        installed.is_ok(),
        "another TLS provider is installed already"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if config.make_witness_key {
        runtime.block_on(make_witness_key(config))?;
    } else {
        runtime.block_on(run(config))?;
    }
    Ok(())
}
