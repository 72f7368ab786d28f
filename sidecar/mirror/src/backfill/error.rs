//! Why a backfill ended before it was done. What it imported so far is in the strand, and the next run goes on behind it.

use boboyka_store::WriteError;
use boboyka_strand::RecordError;

/// Why a backfill ended before it was done.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// No credentials.
    #[error("there is no supabase to import from: {0}")]
    NoSupabase(String),
    /// Supabase did not answer, or not with rows.
    #[error(
        "could not read table {table}: {reason}. What was imported so far is kept; run the backfill again to go on"
    )]
    Supabase {
        /// The table.
        table: String,
        /// A sentence without row data and secrets.
        reason: String,
    },
    /// The table has no order.
    #[error(
        "table {table} has no primary key, in whose order its rows are imported: add one, or leave the table out of the backfill"
    )]
    NoPrimaryKey {
        /// The table.
        table: String,
    },
    /// The position that the strand holds is one of another table or key.
    #[error(
        "{record_type} was imported from table {before} so far, and now it is {now}: undo that, or import into another folder"
    )]
    OtherTable {
        /// The record type.
        record_type: &'static str,
        /// Table and primary key of the first run.
        before: String,
        /// Those of this run.
        now: String,
    },
    /// Rows that were passed would have to be imported now, or the other way round.
    #[error(
        "until: this strand imports what was written until {before}, and now it is {now}: undo that, or import into another folder"
    )]
    OtherUntil {
        /// The time of the first run.
        before: String,
        /// That of this run.
        now: String,
    },
    /// A strand that agents write to, or another's history.
    #[error(
        "the strand holds records that no backfill wrote: a backfill needs a folder of its own"
    )]
    NotItsOwn,
    /// How far the import came may be in what can't be read.
    #[error(
        "the records from seq {first} to {last} of the strand can't be read, so that it is not known how far the backfill came: \
         import into another folder"
    )]
    Unreadable {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The note of how far it came is none that a record holds.
    #[error("could not note how far the backfill came in table {table}")]
    Note {
        /// The table.
        table: String,
        /// Why not.
        source: RecordError,
    },
    /// The strand takes nothing.
    #[error("could not append to the strand")]
    Write(#[from] WriteError),
}
