//! The mirror: the strand's records, copied to Supabase by four lanes, one per record type and table.
//!
//! The only path for data is strand → lane → table: an ingest never writes to Supabase itself, it waits
//! for its lane's mark to pass its seq, briefly, and not at all when the lane is known to be stuck.
//! Supabase failing is therefore data (an [`Outcome`]), never an error of an ingest. Rows carry their
//! `record_hash` or replace the row of their key, so sending one twice stores it once; each table is on
//! its own, so a broken one stops only its lane.

mod backfill;
mod backoff;
mod breaker;
mod checking;
mod classify;
mod comparison;
mod credentials;
mod disposition;
mod failure;
mod foreign;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod lane;
mod misfit;
mod outcome;
mod parity;
mod preflight;
mod repair;
mod request;
mod retry;
mod row;
mod settings;
mod source;
mod status;
mod supabase;
mod table;
#[cfg(test)]
mod tests;

pub use backfill::{
    Backfill, BackfillError, BackfillPlan, BackfillProgress, Backfilled, BackfilledTable,
};
pub use backoff::Schedule;
pub use classify::Class;
pub use credentials::{Credentials, CredentialsError};
pub use foreign::{Foreign, ForeignScope, ForeignTable, ForeignWrites};
pub use handle::Mirror;
pub use outcome::Outcome;
pub use parity::{Difference, DifferenceKind, LaneParity, Parity};
pub use repair::RepairReport;
pub use retry::{RetryError, RetryReport};
pub use settings::Settings;
pub use source::{KEY_FILE, SourceChanges, SupabaseSource, Told, URL_FILE};
pub use status::{LaneCounters, LaneState, LaneStatus};
pub use table::{Mode, TableSettings};
