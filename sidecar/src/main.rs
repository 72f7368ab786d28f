//! The command line: serve; show and change the phase, verify a strand offline, prove a record, wait for a sidecar, drain a strand, import
//! what was there before, restore a strand from its archive.

use std::fmt::Display;
use std::io::{Write as _, stdout};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use boboyka_sidecar::config::{Cli, Command, PhaseOptions, Restore, Serve, Verify};
use boboyka_sidecar::{ListenAddress, RunError, command, log};
use boboyka_store::{causes, verify_offline};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if log::start(cli.log_format).is_err() {
        return ExitCode::FAILURE;
    }
    let code = match cli.command {
        None => ended(serve(cli.serve)),
        Some(Command::Drain(strand)) => ended(within_runtime(command::drain(strand))),
        Some(Command::Backfill(options)) => ended(within_runtime(command::backfill(options, say))),
        Some(Command::Restore(options)) => restore(options),
        Some(Command::Phase(options)) => phase(&options),
        Some(Command::Verify(what)) => verify(&what),
        Some(Command::Wait { observe, timeout }) => wait(&observe, timeout),
        Some(Command::Prove {
            hash,
            listen,
            api_key_file,
            data_dir,
        }) => match data_dir {
            Some(data_dir) => prove(command::prove_folder(&data_dir, &hash)),
            None => prove(command::prove_running(
                &listen,
                api_key_file.as_deref(),
                &hash,
            )),
        },
    };
    log::flush();
    code
}

fn ended(end: anyhow::Result<()>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say_error(&format!("boboyka-sidecar: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(serve: Serve) -> anyhow::Result<()> {
    let greeting = format!(
        "Boboyka sidecar on http://{0}, strand in {1}. Try: curl -sS http://{0}/v1/boboyka/ingest -H \
         'content-type: application/json' -d '{{\"record_type\":\"agent_health\",\"data\":\
         {{\"agent_id\":\"me\",\"status\":\"healthy\"}}}}'",
        serve.listen,
        serve.strand.data_dir.display()
    );
    let greet = move || {
        log::flush();
        say(&greeting);
    };
    // On a thread of its own, because nobody may read standard output, and a signal to end must still be heard.
    within_runtime(command::run(serve, || drop(std::thread::spawn(greet))))
}

fn restore(options: Restore) -> ExitCode {
    let mut ended = Ok(());
    let work = async {
        ended = command::restore(options, say).await;
        Ok(())
    };
    if let Err(error) = within_runtime(work) {
        log::say_error(&format!("boboyka-sidecar restore: {error:#}"));
        return ExitCode::from(2);
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_verdict() => {
            say(&format!("DOES NOT HOLD: {error}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            log::say(&format!("boboyka-sidecar restore: {error}"));
            ExitCode::from(2)
        }
    }
}

fn within_runtime(work: impl Future<Output = Result<(), RunError>>) -> anyhow::Result<()> {
    // The one TLS provider; libraries are built to take what is installed here.
    let installed = rustls::crypto::ring::default_provider().install_default();
    anyhow::ensure!(
        installed.is_ok(),
        "a TLS provider was installed before this one"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)?;
    Ok(())
}

fn wait(observe: &ListenAddress, timeout: Duration) -> ExitCode {
    match command::wait(observe, timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::say(&format!("boboyka-sidecar wait: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn verify(what: &Verify) -> ExitCode {
    match (&what.proof, &what.checkpoint) {
        (Some(proof), _) => found(command::verify_proof(proof, &what.trust, &what.content)),
        (None, Some(checkpoint)) => {
            let chain = verify_strand(&what.data_dir);
            if chain != ExitCode::SUCCESS {
                return chain;
            }
            found(command::verify_checkpoint(
                checkpoint,
                &what.trust,
                &what.data_dir,
            ))
        }
        (None, None) => verify_strand(&what.data_dir),
    }
}

/// Says what was found, or what does not hold.
fn found(finding: Result<impl Display, command::VerifyError>) -> ExitCode {
    match finding {
        Ok(finding) => {
            say(&finding.to_string());
            ExitCode::SUCCESS
        }
        Err(error) if error.is_verdict() => {
            say(&format!("DOES NOT HOLD: {error}"));
            ExitCode::FAILURE
        }
        Err(error) => unreadable(&error.to_string()),
    }
}

fn unreadable(error: &str) -> ExitCode {
    log::say(&format!("boboyka-sidecar verify: {error}"));
    ExitCode::from(2)
}

fn prove(proof: Result<String, command::ProveError>) -> ExitCode {
    match proof {
        Ok(proof) => {
            say(proof.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::say(&format!("boboyka-sidecar prove: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn phase(options: &PhaseOptions) -> ExitCode {
    match command::phase(options, say) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log::say(&format!("boboyka-sidecar phase: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

fn verify_strand(data_dir: &Path) -> ExitCode {
    let verdict = match verify_offline(data_dir, |_| ControlFlow::Continue(())) {
        Ok(verdict) => verdict,
        Err(error) => return unreadable(&causes(&error)),
    };
    if let (Some(seq), Some(reason)) = (verdict.broken_seq, verdict.reason) {
        say(&format!("BROKEN at seq {seq}: {reason}"));
        return ExitCode::FAILURE;
    }
    let (records, hash) = (verdict.verified, verdict.head.hash);
    let behind = match verdict.floor.seq {
        0 => String::new(),
        floor => format!(" after seq {floor}"),
    };
    let gone = match verdict.payloads_gone {
        0 => String::new(),
        gone => format!(", {gone} of them without their payload"),
    };
    say(&format!("ok: {records} records{behind}{gone}, head {hash}"));
    ExitCode::SUCCESS
}

/// Writes a line to standard output; a reader that has gone away is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
