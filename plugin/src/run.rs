//! From a command line to an exit code.

use std::process::ExitCode;

use anyhow::Result;

use crate::causes::causes;
use crate::cli::{Cli, Command};
use crate::command::{
    check, dead_letters, drain, events, fence, install, panel, phase, repair, report, status,
    verify, why,
};
use crate::ending::Ending;
use crate::manual;
use crate::terminal::Terminal;

/// Runs a command to its end, and tells what went wrong on stderr.
pub fn run(cli: Cli) -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(answer(cli)));
    match ended {
        Ok(ending) => ending.into(),
        Err(error) if is_broken_pipe(&error) => Ending::Well.into(),
        Err(error) => {
            Terminal::progress("");
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            Terminal::tell(&format!("kubectl boboyka: {}", causes(error)));
            Ending::Unanswered.into()
        }
    }
}

/// A reader that has gone away, such as `head`, has what it wanted.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error: Option<&std::io::Error> = error.downcast_ref();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn answer(cli: Cli) -> Result<Ending> {
    let terminal = &Terminal::new(&cli.output);
    let open = || cli.connection.open();
    match &cli.command {
        Command::Status => status::status(&open().await?, terminal).await,
        Command::Why { pod } => why::why(&open().await?, terminal, pod).await,
        Command::Check(options) => check::check(&open().await?, terminal, options).await,
        Command::Phase(options) => phase::phase(&open().await?, terminal, options).await,
        Command::Verify(which) => verify::verify(&open().await?, terminal, which).await,
        Command::Events(options) => events::events(&open().await?, terminal, options).await,
        Command::Report(options) => report::report(&open().await?, terminal, options).await,
        Command::DeadLetters(options) => {
            dead_letters::dead_letters(&open().await?, terminal, options).await
        }
        Command::Repair(options) => repair::repair(&open().await?, terminal, options).await,
        Command::Panel(options) => panel::panel(&open().await?, terminal, options).await,
        Command::Drain(options) => drain::drain(&open().await?, terminal, options).await,
        Command::Fence(options) => fence::fence(&open().await?, terminal, options).await,
        Command::Unfence { strand } => fence::unfence(&open().await?, terminal, strand).await,
        Command::Install(options) if options.print => install::print(terminal),
        Command::Install(options) => install::install(&open().await?, terminal, options).await,
        Command::Completion { shell } => manual::completion(terminal, *shell),
        Command::Man => manual::page(terminal),
    }
}
