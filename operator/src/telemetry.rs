//! The log: lines for a terminal, JSON for whoever collects it. `RUST_LOG` says how much.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts it, once.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    if stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    // A panic is a line of the log as any other.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a panic");
    }));
}
