//! `kubectl boboyka`: one command for people who run the product in a cluster.
//!
//! Pure modules make what is shown out of objects; `command` asks the API server and, through it, sidecars. It reads what
//! its user may read, writes `spec.phase` only when asked, and never reads a Secret.

mod age;
mod applied;
mod archive;
mod backlog;
mod causes;
mod checks;
mod cli;
mod command;
mod connection;
mod ending;
mod finding;
mod fleet;
mod fleet_text;
mod gates;
mod manifest;
mod manual;
mod parity;
mod proof;
mod reading;
mod record;
mod redaction;
mod refusal;
mod rejected;
mod run;
mod sidecar;
mod standing;
mod step;
mod table;
mod target;
mod terminal;
mod why;

pub use cli::Cli;
pub use ending::Ending;
pub use run::run;
