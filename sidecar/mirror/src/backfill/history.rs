//! The history of one table, read from Supabase in the order of its primary key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use boboyka_strand::RecordType;
use serde::Deserialize;

use super::error::BackfillError;
use super::imported::Columns;
use super::keyset::{Column, Keyset};
use crate::backoff;
use crate::classify::Class;
use crate::failure::Failure;
use crate::supabase::Supabase;
use crate::table::Layout;

/// How `PostgREST` marks a column of the primary key in its description.
const PRIMARY_KEY: &str = "<pk/>";

/// Failures in a row after which a run ends: with the waits in between, some ten seconds.
const FAILURES_MAX: u32 = 6;

/// The history of one table.
#[derive(Debug)]
pub(super) struct History {
    pub(super) layout: Layout,
    pub(super) keyset: Keyset,
    supabase: Arc<Supabase>,
}

/// An answer with rows.
#[derive(Debug)]
pub(super) struct Rows {
    text: Vec<u8>,
    /// Whether the only row is too long to be read, and this is its key alone.
    pub(super) too_long: bool,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    definitions: HashMap<String, Definition>,
}

#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    properties: HashMap<String, Property>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    format: String,
    #[serde(default)]
    description: String,
}

impl Rows {
    /// The rows.
    pub(super) fn parse(&self) -> Result<Vec<Columns<'_>>, serde_json::Error> {
        serde_json::from_slice(&self.text)
    }
}

impl History {
    /// Looks at a table.
    pub(super) async fn look(
        supabase: Arc<Supabase>,
        layout: Layout,
        record_type: RecordType,
        until_ms: u64,
    ) -> Result<Self, BackfillError> {
        let columns = described(&supabase, &layout).await?;
        let mut times = record_type.fields().iter().map(|field| field.name);
        let time = times.find(|name| name.ends_with("_ms"));
        match Keyset::new(&layout, time, &columns, until_ms) {
            Some(keyset) => Ok(Self {
                layout,
                keyset,
                supabase,
            }),
            None => Err(BackfillError::NoPrimaryKey {
                table: layout.table.to_string(),
            }),
        }
    }

    /// The next rows, at most `limit`; fewer where they are long or the database is slow.
    pub(super) async fn rows(&self, after: &[String], limit: usize) -> Result<Rows, BackfillError> {
        let (mut limit, mut failures) = (limit, 0);
        loop {
            match self.ask("*", after, limit).await {
                Ok(Some(text)) => {
                    return Ok(Rows {
                        text,
                        too_long: false,
                    });
                }
                Ok(None) if limit == 1 => return self.key_alone(after).await,
                Ok(None) => limit /= 2,
                Err(failure) => {
                    failures += 1;
                    let waited = wait(&self.layout.table, failure, failures).await;
                    waited.map_err(|failure| failed(&self.layout.table, failure))?;
                    limit = limit.div_ceil(2);
                }
            }
        }
    }

    async fn key_alone(&self, after: &[String]) -> Result<Rows, BackfillError> {
        let columns = self.keyset.key_columns();
        let answer = patiently(&self.layout.table, || self.ask(&columns, after, 1)).await;
        let answer = answer.and_then(|answer| answer.ok_or_else(Failure::not_postgrest));
        match answer {
            Ok(text) => Ok(Rows {
                text,
                too_long: true,
            }),
            Err(failure) => Err(failed(&self.layout.table, failure)),
        }
    }

    async fn ask(
        &self,
        select: &str,
        after: &[String],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let query = self.keyset.page(select, after, limit);
        self.supabase.page(&self.layout.table, &query).await
    }

    /// What can't be read as rows.
    pub(super) fn not_understood(&self) -> BackfillError {
        BackfillError::Supabase {
            table: self.layout.table.to_string(),
            reason: "supabase's answer was not understood".to_owned(),
        }
    }
}

/// When the mirror began, by the table of `schema.sql` that remembers it; `None` where it did not.
pub(super) async fn mirror_began(supabase: &Supabase) -> Result<Option<u64>, BackfillError> {
    #[derive(Deserialize)]
    struct Moment {
        at: jiff::Timestamp,
    }
    const TABLE: &str = "boboyka_moments";
    let query = [
        ("select", "at".to_owned()),
        ("order", "at.asc".to_owned()),
        ("limit", "1".to_owned()),
    ];
    let answer = match patiently(TABLE, || supabase.page(TABLE, &query)).await {
        Ok(answer) => answer.unwrap_or_default(),
        Err(failure) if failure.class == Class::Schema => return Ok(None),
        Err(failure) => return Err(failed(TABLE, failure)),
    };
    let moments: Result<Vec<Moment>, _> = serde_json::from_slice(&answer);
    let moments = moments.map_err(|_| BackfillError::Supabase {
        table: TABLE.to_owned(),
        reason: "it holds no times".to_owned(),
    })?;
    let first = moments.first().map(|moment| moment.at.as_millisecond());
    Ok(first.and_then(|ms| u64::try_from(ms).ok()))
}

/// The columns of a table, by the description that `PostgREST` gives of the schema.
async fn described(supabase: &Supabase, layout: &Layout) -> Result<Vec<Column>, BackfillError> {
    let table = &*layout.table;
    let answer = patiently(table, || supabase.description(table)).await;
    let answer = answer.map_err(|failure| failed(table, failure))?;
    let missing = |reason: &str| BackfillError::Supabase {
        table: layout.table.to_string(),
        reason: reason.to_owned(),
    };
    let document: Result<Document, _> = serde_json::from_slice(&answer);
    let mut definitions = document
        .map_err(|_| missing("supabase does not describe its tables"))?
        .definitions;
    let table = definitions
        .remove(&*layout.table)
        .ok_or_else(|| missing("it is missing, or the key may not read it"))?;
    let column = |(name, property): (String, Property)| Column {
        name,
        is_key: property.description.contains(PRIMARY_KEY),
        format: property.format,
    };
    Ok(table.properties.into_iter().map(column).collect())
}

/// What Supabase answers; a failure that may pass is waited for.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    table: &str,
    ask: impl Fn() -> F,
) -> Result<T, Failure> {
    let mut failures = 0;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => {
                failures += 1;
                wait(table, failure, failures).await?;
            }
        }
    }
}

/// Waits before the next try, or gives up.
async fn wait(table: &str, failure: Failure, failures: u32) -> Result<(), Failure> {
    let may_pass = matches!(failure.class, Class::Transient | Class::TimedOut);
    if !may_pass || failures >= FAILURES_MAX {
        return Err(failure);
    }
    let delay: Duration = backoff::delay(failures, fastrand::f64(), failure.retry_after);
    tracing::warn!(
        table,
        "could not read table {table}: {}; the backfill tries again",
        failure.message
    );
    tokio::time::sleep(delay).await;
    Ok(())
}

fn failed(table: &str, failure: Failure) -> BackfillError {
    BackfillError::Supabase {
        table: table.to_owned(),
        reason: failure.message,
    }
}
