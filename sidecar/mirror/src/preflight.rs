//! What a table offers: which of our columns can be filled, whether a unique key names a row by
//! `record_hash` or by the record's own key, and so which mode it can do. Found by inserts of no rows,
//! which fail as real ones would and change nothing. A table of the user's own with fewer columns gets
//! what fits.

use std::sync::Arc;

use crate::classify::Class;
use crate::failure::Failure;
use crate::supabase::{Conflict, Supabase, Target};
use crate::table::{Layout, Mode};

/// What rows can be sent to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// A row for each record or for each key.
    pub mode: Mode,
    /// The columns that name a row in [`Mode::Latest`].
    pub key: Vec<Arc<str>>,
    /// The columns to fill.
    pub columns: Vec<Arc<str>>,
    /// Those of ours that the table has not, or that it fills itself.
    pub lost_columns: Vec<Arc<str>>,
    /// Whether a row that is sent twice is stored once.
    pub idempotent: bool,
    /// Whether a trigger of `schema.sql` keeps an older row from replacing a newer one.
    pub guarded: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            mode: Mode::Append,
            key: Vec::new(),
            columns: Vec::new(),
            lost_columns: Vec::new(),
            idempotent: false,
            guarded: false,
        }
    }
}

impl Shape {
    /// Whether the table has all that the product's own SQL gives it.
    pub(crate) fn is_whole(&self) -> bool {
        self.idempotent && self.lost_columns.is_empty()
    }

    /// Whether a column is filled.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| &**name == column)
    }
}

/// Asks for the shape of a table.
///
/// # Errors
/// The failure, when no rows can be sent at all or not in the mode that was asked for.
pub(crate) async fn preflight(supabase: &Supabase, layout: &Layout) -> Result<Shape, Failure> {
    let (columns, lost_columns) = fillable(supabase, layout).await?;
    let shape = Shape {
        columns,
        lost_columns,
        ..Shape::default()
    };
    let key = key(layout, &shape)?;
    if let Some(key) = key
        && can_upsert(supabase, layout, &shape, &key).await?
    {
        let guarded = supabase.has_guard(&layout.table).await?;
        return Ok(Shape {
            mode: Mode::Latest,
            key,
            idempotent: true,
            guarded,
            ..shape
        });
    }
    let hash = &layout.own.record_hash;
    let target = Target {
        table: &layout.table,
        columns: &shape.columns,
        conflict: Conflict::Ignore(hash),
    };
    let idempotent = shape.has(hash) && unless_misfit(supabase.preflight(target).await)?;
    Ok(Shape {
        idempotent,
        ..shape
    })
}

/// The columns that can be filled, and those that can't.
async fn fillable(
    supabase: &Supabase,
    layout: &Layout,
) -> Result<(Vec<Arc<str>>, Vec<Arc<str>>), Failure> {
    let all = layout.columns();
    let target = |columns| Target {
        table: &layout.table,
        columns,
        conflict: Conflict::None,
    };
    let misfit = match supabase.preflight(target(&all)).await {
        Ok(()) => return Ok((all, Vec::new())),
        Err(failure) if failure.is_unfillable_column() => failure,
        Err(failure) => return Err(failure),
    };
    let (mut present, mut lost) = (Vec::new(), Vec::new());
    for column in &all {
        match supabase
            .preflight(target(std::slice::from_ref(column)))
            .await
        {
            Ok(()) => present.push(Arc::clone(column)),
            Err(failure) if failure.is_unfillable_column() => lost.push(Arc::clone(column)),
            Err(failure) => return Err(failure),
        }
    }
    if present.is_empty() {
        let message = format!("table {} has none of the columns", layout.table);
        return Err(Failure { message, ..misfit });
    }
    Ok((present, lost))
}

/// The key to upsert by, if the mode is not to be [`Mode::Append`] and the table has its columns.
fn key(layout: &Layout, shape: &Shape) -> Result<Option<Vec<Arc<str>>>, Failure> {
    if layout.mode == Some(Mode::Append) || (layout.mode.is_none() && layout.key.is_empty()) {
        return Ok(None);
    }
    let missing = layout.key.iter().find(|column| !shape.has(column));
    match (missing, layout.mode) {
        (None, _) if !layout.key.is_empty() => Ok(Some(layout.key.clone())),
        (_, None | Some(Mode::Append)) => Ok(None),
        (missing, Some(Mode::Latest)) => {
            let missing = missing.map_or("that names a row: set its key", |column| column);
            Err(Failure::schema(&format!(
                "table {} can't do the mode latest: it has no column {missing}",
                layout.table
            )))
        }
    }
}

/// Whether a unique key of the table names its rows by these columns.
async fn can_upsert(
    supabase: &Supabase,
    layout: &Layout,
    shape: &Shape,
    key: &[Arc<str>],
) -> Result<bool, Failure> {
    let target = Target {
        table: &layout.table,
        columns: &shape.columns,
        conflict: Conflict::Merge(key),
    };
    match supabase.preflight(target).await {
        Ok(()) => Ok(true),
        // Inserts without a key pass, so what is missing is what an upsert needs beside.
        Err(failure) if failure.code == "42501" => Err(Failure {
            message: format!(
                "the mode latest needs more rights: grant select, insert, update on {} to service_role",
                layout.table
            ),
            ..failure
        }),
        Err(failure) if failure.class != Class::Schema => Err(failure),
        Err(_) if layout.mode != Some(Mode::Latest) => Ok(false),
        Err(failure) => Err(Failure {
            message: format!(
                "table {} can't do the mode latest: it has no unique key on {}",
                layout.table,
                key.join(", ")
            ),
            ..failure
        }),
    }
}

/// Whether it worked; a failure that the table's shape explains is no error.
fn unless_misfit(result: Result<(), Failure>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(failure) if failure.class == Class::Schema => Ok(false),
        Err(failure) => Err(failure),
    }
}
