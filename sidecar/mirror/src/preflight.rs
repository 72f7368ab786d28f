//! What a table offers: which of our columns it has and whether `record_hash` is unique in it. Found by
//! inserts of no rows, which fail as real ones would and change nothing. A table of the user's own with
//! fewer columns gets what fits.

use boboyka_strand::RecordType;

use crate::classify::Class;
use crate::failure::Failure;
use crate::row::{self, HASH_COLUMN};
use crate::supabase::{Supabase, Target};

/// What rows can be sent to a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The columns to fill.
    pub columns: Vec<&'static str>,
    /// Those of ours that the table has not.
    pub lost_columns: Vec<&'static str>,
    /// Whether a row that is sent twice is stored once.
    pub idempotent: bool,
}

impl Shape {
    /// Whether the table has all that the product's own SQL gives it.
    pub fn is_whole(&self) -> bool {
        self.idempotent && self.lost_columns.is_empty()
    }
}

/// Asks for the shape of a record type's table.
///
/// # Errors
/// The failure, when no rows can be sent at all.
pub async fn preflight(supabase: &Supabase, record_type: RecordType) -> Result<Shape, Failure> {
    let table = record_type.table();
    let all = row::columns(record_type);
    let whole = Target {
        table,
        columns: &all,
        idempotent: true,
    };
    let Some(misfit) = misfit(supabase.preflight(whole).await)? else {
        return Ok(Shape {
            columns: all,
            lost_columns: Vec::new(),
            idempotent: true,
        });
    };
    if !misfit.is_missing_column() {
        // Perhaps only the unique key is missing.
        supabase
            .preflight(Target {
                idempotent: false,
                ..whole
            })
            .await?;
        return Ok(Shape {
            columns: all,
            lost_columns: Vec::new(),
            idempotent: false,
        });
    }
    let (columns, lost_columns) = probe_each(supabase, table, &all).await?;
    if columns.is_empty() {
        let message = format!("table {table} has none of the columns");
        return Err(Failure { message, ..misfit });
    }
    let fitting = Target {
        table,
        columns: &columns,
        idempotent: true,
    };
    let idempotent = columns.contains(&HASH_COLUMN)
        && self::misfit(supabase.preflight(fitting).await)?.is_none();
    if !idempotent {
        supabase
            .preflight(Target {
                idempotent: false,
                ..fitting
            })
            .await?;
    }
    Ok(Shape {
        columns,
        lost_columns,
        idempotent,
    })
}

/// The columns that the table has, and those it has not.
async fn probe_each(
    supabase: &Supabase,
    table: &str,
    all: &[&'static str],
) -> Result<(Vec<&'static str>, Vec<&'static str>), Failure> {
    let (mut present, mut lost) = (Vec::new(), Vec::new());
    for column in all {
        let target = Target {
            table,
            columns: std::slice::from_ref(column),
            idempotent: false,
        };
        match supabase.preflight(target).await {
            Ok(()) => present.push(*column),
            Err(failure) if failure.is_missing_column() => lost.push(*column),
            Err(failure) => return Err(failure),
        }
    }
    Ok((present, lost))
}

/// A failure that the table's shape explains; others are errors.
fn misfit(result: Result<(), Failure>) -> Result<Option<Failure>, Failure> {
    match result {
        Ok(()) => Ok(None),
        Err(failure) if failure.class == Class::Schema => Ok(Some(failure)),
        Err(failure) => Err(failure),
    }
}
