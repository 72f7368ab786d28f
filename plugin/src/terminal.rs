//! What a command prints: tables for people, JSON or YAML for programs.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};

use anstream::{AutoStream, ColorChoice};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

/// The width of a terminal that does not tell it.
const WIDTH: usize = 80;

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables, for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// One YAML document.
    Yaml,
}

/// When the answer has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colours {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How the answer is written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Format of the answer.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Format,
    /// Whether the answer has colours.
    #[arg(long = "color", global = true, value_enum, default_value_t)]
    colours: Colours,
}

/// Where the answer goes.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    format: Format,
    choice: ColorChoice,
    width: Option<usize>,
}

impl Terminal {
    /// Looks at the flags and at stdout.
    pub(crate) fn new(output: &Output) -> Self {
        let choice = match output.colours {
            Colours::Auto => AutoStream::choice(&stdout()),
            Colours::Always => ColorChoice::Always,
            Colours::Never => ColorChoice::Never,
        };
        let width = stdout().is_terminal().then(|| {
            terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0))
        });
        Self {
            format: output.output,
            choice,
            width,
        }
    }

    /// Prints an answer: `view` for programs, what `text` writes for people.
    pub(crate) fn show(
        &self,
        view: &impl Serialize,
        text: impl FnOnce(Option<usize>) -> String,
    ) -> Result<()> {
        match self.format {
            Format::Text => self.print(&text(self.width)),
            Format::Json => self.print(&(serde_json::to_string_pretty(view)? + "\n")),
            Format::Yaml => self.print(&serde_yaml::to_string(view)?),
        }
    }

    /// Prints one of many answers: a line for people, one line of JSON or one YAML document for programs.
    pub(crate) fn show_next(
        &self,
        view: &impl Serialize,
        line: impl FnOnce() -> String,
    ) -> Result<()> {
        match self.format {
            Format::Text => self.print(&(line() + "\n")),
            Format::Json => self.print(&(serde_json::to_string(view)? + "\n")),
            Format::Yaml => self.print(&("---\n".to_owned() + &serde_yaml::to_string(view)?)),
        }
    }

    /// Prints a text as it is.
    pub(crate) fn print(&self, text: &str) -> Result<()> {
        let mut out = AutoStream::new(stdout().lock(), self.choice);
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Tells the person something that is not part of the answer.
    pub(crate) fn tell(text: &str) {
        let _ = writeln!(stderr().lock(), "{text}");
    }

    /// Shows progress in place on a terminal, and nowhere else; an empty text removes it.
    pub(crate) fn progress(text: &str) {
        let mut err = stderr().lock();
        if err.is_terminal() {
            let _ = write!(err, "\r\x1b[K{text}");
            let _ = err.flush();
        }
    }
}
