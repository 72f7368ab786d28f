//! The log, on standard error: text for people at a terminal, one JSON object a line for machines, with the fields of the
//! event beside its `message`, as the operator writes it. An error is
//! logged as one text with all its causes (`boboyka_store::causes`), because the JSON form drops the sources of
//! an error value. Nobody waits for whoever reads the log: see [`lines`].

mod lines;
mod seldom;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, stderr};
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::lines::Lines;
pub(crate) use self::seldom::Seldom;

/// What is logged unless `RUST_LOG` says otherwise; the sidecar itself logs what the watches meet.
const DEFAULT_FILTER: &str = "info,kube_runtime=error,kube_client=error";

/// How long the end of the process waits for the reader of the log.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The log of this process, as there is one subscriber.
static LOG: OnceLock<Log> = OnceLock::new();

/// Where lines go, and whether they are text.
struct Log {
    lines: Lines,
    is_text: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON anywhere else.
    #[default]
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    fn is_text(self, on_terminal: bool) -> bool {
        match self {
            Self::Auto => on_terminal,
            Self::Text => true,
            Self::Json => false,
        }
    }
}

/// Begins to log, panics too.
///
/// # Errors
/// The thread that writes can't be started.
pub fn start(format: LogFormat) -> io::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let on_terminal = stderr().is_terminal();
    let lines = Lines::to(stderr())?;
    let is_text = format.is_text(on_terminal);
    let log = subscriber(is_text, on_terminal, filter, lines.clone());
    // Both fail only when a log was begun before, which goes on then.
    let _ = tracing::subscriber::set_global_default(log);
    let _ = LOG.set(Log { lines, is_text });
    // The hook of the standard library writes to standard error itself, so a thread that panics would wait for its
    // reader before it fails closed.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let backtrace = Backtrace::capture();
        let is_there = backtrace.status() == BacktraceStatus::Captured;
        let backtrace = is_there.then(|| backtrace.to_string());
        add(&format!("thread '{name}' {panic}"), backtrace.as_deref());
    }));
    Ok(())
}

/// Says why the process ends, whatever `RUST_LOG` lets through: a line of the log like any other.
pub fn say_error(message: &str) {
    add(message, None);
}

fn add(message: &str, backtrace: Option<&str>) {
    if let Some(log) = LOG.get() {
        let line = line(log.is_text, message, backtrace);
        log.lines.push(line.as_bytes());
    }
}

/// An error that no event tells of.
fn line(is_text: bool, message: &str, backtrace: Option<&str>) -> String {
    if is_text {
        return match backtrace {
            None => format!("{message}\n"),
            Some(backtrace) => format!("{message}\n{backtrace}\n"),
        };
    }
    let (at, level, target) = (Timestamp::now().to_string(), "ERROR", "boboyka_sidecar");
    let line = match backtrace {
        None => json!({"timestamp": at, "level": level, "message": message, "target": target}),
        Some(backtrace) => json!({
            "timestamp": at, "level": level, "message": message, "target": target, "backtrace": backtrace,
        }),
    };
    format!("{line}\n")
}

/// Adds a line of text as it is.
pub fn say(line: &str) {
    if let Some(log) = LOG.get() {
        log.lines.push(format!("{line}\n").as_bytes());
    }
}

/// Waits until what was logged so far is written, but not long for a reader that does not read.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.lines.flush(FLUSH_LIMIT);
    }
}

/// Lines that were dropped because the log was read too slowly.
pub(crate) fn dropped_lines() -> u64 {
    LOG.get().map_or(0, |log| log.lines.dropped())
}

fn subscriber(
    text: bool,
    colours: bool,
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        // The complaint would go to standard error too, where a reader that has gone away makes it a panic.
        .log_internal_errors(false)
        .with_writer(writer);
    if text {
        Box::new(log.finish())
    } else {
        Box::new(log.json().flatten_event(true).finish())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use boboyka_store::{OpenError, causes};
    use serde_json::Value;
    use tracing_subscriber::EnvFilter;

    use super::{DEFAULT_FILTER, LogFormat, line, subscriber};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(text: bool, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let filter = EnvFilter::new(DEFAULT_FILTER);
        let subscriber = subscriber(text, false, filter, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn failure() -> OpenError {
        OpenError::Io {
            doing: "read",
            path: PathBuf::from("/data/tail"),
            source: io::Error::other("the disk is on fire"),
        }
    }

    #[test]
    fn an_error_has_all_its_causes_in_json_and_in_text() {
        let log = || tracing::error!(error = causes(&failure()), "could not open the strand");
        let line: Value = serde_json::from_str(&logged(false, log)).unwrap();
        let expected = "could not read /data/tail: the disk is on fire";
        assert_eq!(line["error"], expected, "{line}");
        assert_eq!(line["message"], "could not open the strand");
        assert_eq!(line["level"], "ERROR");
        let text = logged(true, log);
        assert!(text.contains(expected), "{text}");
        assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
    }

    #[test]
    fn what_ends_the_process_is_a_line_like_any_other() {
        let keys = |line: &str| -> Vec<String> {
            let line: Value = serde_json::from_str(line).unwrap();
            line.as_object().unwrap().keys().cloned().collect()
        };
        let event = logged(false, || tracing::error!("it ends"));
        let last = line(false, "it \"ends\"\nhere", None);
        assert_eq!(keys(&event), keys(&last));
        assert_eq!(last.lines().count(), 1, "{last}");
        let panic = line(false, "a thread panicked", Some("0: one\n1: two"));
        assert_eq!(panic.lines().count(), 1, "{panic}");
        assert!(keys(&panic).contains(&"backtrace".to_owned()));
        assert_eq!(line(true, "it ends", None), "it ends\n");
        assert_eq!(line(true, "it ends", Some("0: one")), "it ends\n0: one\n");
    }

    #[test]
    fn a_terminal_gets_text_and_anything_else_json_unless_told_otherwise() {
        let text = |format: LogFormat| (format.is_text(true), format.is_text(false));
        assert_eq!(text(LogFormat::Auto), (true, false));
        assert_eq!(text(LogFormat::Text), (true, true));
        assert_eq!(text(LogFormat::Json), (false, false));
    }
}
