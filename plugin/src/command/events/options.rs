//! Which records `events` lists.

use crate::target::Which;

/// Which records.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct EventsOptions {
    #[command(flatten)]
    which: Which,
    /// Number of records, of all strands together.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    limit: u16,
    /// Only records of this type.
    #[arg(long, value_name = "TYPE")]
    record_type: Option<String>,
    /// Shows the records themselves.
    #[arg(long)]
    data: bool,
    /// Goes on with records as they are appended, until it is interrupted.
    #[arg(short, long)]
    follow: bool,
}

impl EventsOptions {
    /// Of which strands.
    pub(super) fn which(&self) -> &Which {
        &self.which
    }

    /// How many, of all strands together.
    pub(super) fn limit(&self) -> usize {
        usize::from(self.limit)
    }

    /// Whether the list goes on.
    pub(super) fn follows(&self) -> bool {
        self.follow
    }

    /// What a request for records asks for.
    pub(super) fn query(&self) -> String {
        let kind = self
            .record_type
            .as_ref()
            .map(|kind| format!("&record_type={}", encoded(kind)));
        let data = if self.data { "&include=data" } else { "" };
        kind.unwrap_or_default() + data
    }
}

/// A value of a query: what is not a letter, a digit or a harmless sign is percent-encoded.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
