//! The log: text on a terminal, JSON otherwise. `RUST_LOG` sets what is logged.

use std::io::{IsTerminal as _, Write as _, stderr};

use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json};

use crate::clock;

/// Starts the log, once per process.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    if stderr().is_terminal() {
        log.init();
    } else {
        log.json().event_format(json()).init();
    }
    // A panic is a line of the log like any other.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "the operator panicked");
    }));
}

/// Says why the process ends, whatever `RUST_LOG` lets through: a line of the log like any other.
pub fn end(error: &anyhow::Error) {
    let message = format!("boboyka-operator: {error:#}");
    let line = if stderr().is_terminal() {
        message
    } else {
        last(&message)
    };
    // A closed stderr changes nothing about how the process ends.
    let _ = writeln!(stderr(), "{line}");
}

fn last(message: &str) -> String {
    let now = clock::now().0.to_string();
    json!({"timestamp": now, "level": "ERROR", "message": message, "target": "boboyka_operator"})
        .to_string()
}

/// A line of JSON for each event, its fields beside its message.
fn json() -> Format<Json> {
    tracing_subscriber::fmt::format().json().flatten_event(true)
}

#[cfg(test)]
mod tests {
    use std::io::{Error, Write};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::causes::causes;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("could not read the Lease")]
    struct Unread(#[source] Error);

    #[test]
    fn a_line_of_json_has_the_causes_of_an_error() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .event_format(json())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, || {
            let error = Unread(Error::other("connection reset"));
            tracing::warn!(error = causes(&error), "could not lead");
        });
        let line = lines.0.lock().unwrap().clone();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["message"], "could not lead");
        assert_eq!(line["error"], "could not read the Lease: connection reset");
        let last: serde_json::Value = serde_json::from_str(&last("it \"ends\"\nhere")).unwrap();
        for key in ["timestamp", "level", "message", "target"] {
            assert!(
                line[key].is_string() && last[key].is_string(),
                "{key}: {last}"
            );
        }
    }
}
