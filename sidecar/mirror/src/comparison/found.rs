//! What a table has, asked of Supabase: by the functions of `schema.sql`, which send digests and no values, or
//! by reading ranges of a table of records where they are missing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use boboyka_strand::Seq;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::columns::{Columns, TableColumn};
use super::compare::Found;
use super::digest::{RowDigest, Sum};
use super::kind::Kind;
use super::states::State;
use crate::classify::Class;
use crate::failure::Failure;
use crate::preflight::{Shape, preflight};
use crate::supabase::Supabase;
use crate::table::{Layout, Mode};

/// Rows that the function gives at a time.
const ROWS_MAX: usize = 5000;

/// Rows that are held at a time: a comparison has far fewer records, and somebody may have copied a table into itself.
const HELD_MAX: usize = 20_000;

/// Rows that are read at a time: Supabase gives a thousand at most.
const READ_ROWS: u64 = 500;

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// A sentence without row data and secrets.
    pub(crate) reason: String,
    /// Whether the table may be other than it was thought to be.
    pub(crate) table_differs: bool,
    /// Whether it may be known in a moment.
    pub(crate) soon: bool,
}

impl Unknown {
    pub(crate) fn because(reason: String) -> Self {
        Self {
            reason,
            table_differs: false,
            soon: false,
        }
    }
}

impl From<Failure> for Unknown {
    fn from(failure: Failure) -> Self {
        Self {
            table_differs: failure.class != Class::Transient,
            reason: failure.message,
            soon: false,
        }
    }
}

/// The version of the functions whose digests are believed: `boboyka_comparison` tells it.
const COMPARISON: u32 = 2;

/// A table, and how it is compared.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) supabase: Arc<Supabase>,
    pub(crate) layout: Layout,
    pub(crate) shape: Shape,
    pub(crate) columns: Columns,
    pub(crate) strand: Uuid,
    pub(crate) functions: Functions,
}

/// The functions of `schema.sql`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Functions {
    /// Of the version that this program understands.
    Current,
    /// Of another: their digests mean something else.
    Other,
    /// It was never run.
    Missing,
}

#[derive(Deserialize)]
struct ColumnAnswer {
    name: String,
    kind: Option<String>,
    has_default: bool,
}

#[derive(Deserialize)]
struct DigestAnswer {
    rows: u64,
    high: String,
    low: String,
}

/// What the database counts of rows that no strand wrote.
#[derive(Debug, Deserialize)]
pub(crate) struct ForeignAnswer {
    pub(crate) since_ms: u64,
    pub(crate) rows: u64,
    pub(crate) newest_at_ms: Option<u64>,
    /// Functions of an earlier `schema.sql` don't say.
    #[serde(default)]
    pub(crate) quiet_ms: Option<u64>,
    pub(crate) sample: Vec<String>,
}

impl Table {
    /// Looks at a table, whose shape the lane may know already.
    pub(crate) async fn look(
        supabase: Arc<Supabase>,
        layout: Layout,
        known: Option<Shape>,
        strand: Uuid,
    ) -> Result<Self, Unknown> {
        let shape = match known {
            Some(shape) => shape,
            None => preflight(&supabase, &layout).await?,
        };
        let functions = installed(&supabase, &layout).await?;
        let by_functions = functions == Functions::Current;
        let columns = match functions {
            Functions::Current => described(&supabase, &layout).await?,
            Functions::Missing | Functions::Other if shape.mode == Mode::Latest => {
                return Err(needs_functions(&layout, functions));
            }
            Functions::Missing | Functions::Other => documented(&supabase, &layout).await?,
        };
        let columns = Columns::new(&layout, &shape, &columns, by_functions);
        let columns = columns.map_err(Unknown::because)?;
        Ok(Self {
            supabase,
            layout,
            shape,
            columns,
            strand,
            functions,
        })
    }

    /// Whether what was compared with one holds for the other.
    pub(crate) fn is_compared_as(&self, other: &Self) -> bool {
        self.layout == other.layout
            && self.shape.mode == other.shape.mode
            && self.columns == other.columns
    }

    /// The number of the strand's rows between two places, and the sum of their digests.
    pub(crate) async fn digest(&self, from: Seq, to: Seq) -> Result<Sum, Unknown> {
        let arguments = json!({
            "p_table": self.layout.table, "p_strand": self.strand,
            "p_from_seq": signed(from), "p_to_seq": signed(to), "p_layout": self.layout_json(),
        });
        let answer: DigestAnswer = self.call("boboyka_digest", &arguments).await?;
        let (Ok(high), Ok(low)) = (answer.high.parse(), answer.low.parse()) else {
            return Err(self.not_understood());
        };
        Ok(Sum {
            rows: answer.rows,
            high,
            low,
        })
    }

    /// The strand's rows between two places, all of them.
    pub(crate) async fn rows(&self, from: Seq, to: Seq) -> Result<Vec<Found>, Unknown> {
        if self.functions != Functions::Current {
            return self.read(from, to).await;
        }
        let (mut rows, mut from) = (Vec::new(), from);
        loop {
            let mut some = self.some_rows(from, to).await?;
            let Some(last) = some.last().map(|row| row.seq) else {
                return Ok(rows);
            };
            if some.len() < ROWS_MAX {
                rows.extend(some);
                return Ok(rows);
            }
            // The rows of the last place may go on in the next answer.
            if some.first().is_some_and(|first| first.seq < last) {
                some.retain(|row| row.seq < last);
                from = last;
            } else {
                from = last + 1;
            }
            rows.extend(some);
            self.can_hold(rows.len())?;
        }
    }

    fn can_hold(&self, rows: usize) -> Result<(), Unknown> {
        if rows <= HELD_MAX {
            return Ok(());
        }
        Err(Unknown::because(format!(
            "table {} has more than {HELD_MAX} rows with the id of this strand where its records are far fewer: delete those that \
             are none of its records",
            self.layout.table
        )))
    }

    async fn some_rows(&self, from: Seq, to: Seq) -> Result<Vec<Found>, Unknown> {
        let arguments = json!({
            "p_table": self.layout.table, "p_strand": self.strand, "p_from_seq": signed(from),
            "p_to_seq": signed(to), "p_layout": self.layout_json(), "p_limit": ROWS_MAX,
        });
        let rows: Vec<(Seq, Option<String>, String)> =
            self.call("boboyka_rows", &arguments).await?;
        let row = |(seq, hash, digest): (Seq, Option<String>, String)| {
            let digest = RowDigest::parse(&digest)?;
            Some(Found { seq, hash, digest })
        };
        let rows: Option<Vec<Found>> = rows.into_iter().map(row).collect();
        rows.ok_or_else(|| self.not_understood())
    }

    /// The rows of some keys, each a JSON object.
    pub(crate) async fn states(&self, keys: &[&str]) -> Result<HashMap<usize, State>, Unknown> {
        type Row = (
            usize,
            Option<String>,
            Option<Seq>,
            Option<String>,
            Option<u64>,
            String,
        );
        let keys = format!("[{}]", keys.join(","));
        let keys: Box<RawValue> = RawValue::from_string(keys).map_err(|_| self.not_understood())?;
        let layout = serde_json::value::to_raw_value(&self.layout_json());
        let arguments: HashMap<&str, Box<RawValue>> = HashMap::from([
            ("p_keys", keys),
            ("p_layout", layout.map_err(|_| self.not_understood())?),
            (
                "p_table",
                serde_json::value::to_raw_value(&self.layout.table)
                    .map_err(|_| self.not_understood())?,
            ),
        ]);
        let rows: Vec<Row> = self.call("boboyka_rows_of_keys", &arguments).await?;
        let state = |(key, strand, seq, hash, ms, digest): Row| {
            let digest = RowDigest::parse(&digest)?;
            Some((
                key,
                State {
                    strand,
                    seq,
                    hash,
                    ms,
                    digest,
                },
            ))
        };
        let states: Option<HashMap<usize, State>> = rows.into_iter().map(state).collect();
        states.ok_or_else(|| self.not_understood())
    }

    /// The rows that no strand wrote since the mirror began; also those of any strand but this one, if `all_but_own`.
    pub(crate) async fn foreign_rows(
        &self,
        all_but_own: bool,
        sample: u32,
    ) -> Result<ForeignAnswer, Unknown> {
        if self.functions == Functions::Missing {
            return Err(Unknown::because(
                "counting rows that no strand wrote needs the functions of schema.sql: run it"
                    .to_owned(),
            ));
        }
        let arguments = json!({
            "p_table": self.layout.table, "p_strands": all_but_own.then_some([self.strand]),
            "p_layout": self.layout_json(), "p_sample": sample,
        });
        let function = "boboyka_foreign_rows";
        let answer = self.supabase.call(&self.layout.table, function, &arguments);
        let answer =
            answer.await.map_err(|failure| {
                match failure.code.as_str() {
            "BBK01" => Unknown::because(
                "the database was restored after the mirror began: empty the table boboyka_moments"
                    .to_owned(),
            ),
            "PGRST202" => Unknown::because(format!(
                "supabase has no function {function}: run schema.sql"
            )),
            _ => failure.into(),
        }
            })?;
        serde_json::from_slice(&answer).map_err(|_| self.not_understood())
    }

    /// The same as [`Self::rows`] without the functions: reads the rows themselves.
    async fn read(&self, from: Seq, to: Seq) -> Result<Vec<Found>, Unknown> {
        let own = &self.layout.own;
        let compared = self.columns.compared.iter().map(|column| &*column.name);
        let mut select: Vec<&str> = compared.collect();
        select.extend([&*own.seq, &*own.record_hash]);
        select.sort_unstable();
        select.dedup();
        let (mut rows, mut offset) = (Vec::new(), 0);
        loop {
            let query = format!(
                "select={}&{}=eq.{}&{seq}=gte.{from}&{seq}=lte.{}&order={seq},{}&limit={READ_ROWS}&offset={offset}",
                select.join(","),
                own.strand,
                self.strand,
                signed(to),
                own.record_hash,
                seq = own.seq,
            );
            let (answer, count) = self.supabase.select(&self.layout.table, &query).await?;
            let some: Vec<HashMap<Cow<'_, str>, &RawValue>> =
                serde_json::from_slice(&answer).map_err(|_| self.not_understood())?;
            offset += some.len() as u64;
            for row in &some {
                rows.push(self.found(row).ok_or_else(|| self.not_understood())?);
            }
            self.can_hold(rows.len())?;
            let count = count.ok_or_else(|| self.not_understood())?;
            if some.is_empty() || offset >= count {
                return Ok(rows);
            }
        }
    }

    fn found(&self, row: &HashMap<Cow<'_, str>, &RawValue>) -> Option<Found> {
        let own = &self.layout.own;
        let hash = row.get(&*own.record_hash)?.get();
        Some(Found {
            seq: row.get(&*own.seq)?.get().parse().ok()?,
            hash: serde_json::from_str(hash).ok()?,
            digest: RowDigest::of(&self.columns, row).ok()?,
        })
    }

    async fn call<A: serde::Serialize + Sync, T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &A,
    ) -> Result<T, Unknown> {
        let answer = self.supabase.call(&self.layout.table, function, arguments);
        serde_json::from_slice(&answer.await?).map_err(|_| self.not_understood())
    }

    fn layout_json(&self) -> super::columns::LayoutJson<'_> {
        self.columns.layout(&self.layout, &self.shape)
    }

    fn not_understood(&self) -> Unknown {
        Unknown::because(format!(
            "supabase's answer about table {} was not understood",
            self.layout.table
        ))
    }
}

/// Which functions the database has.
async fn installed(supabase: &Supabase, layout: &Layout) -> Result<Functions, Failure> {
    let no_arguments = json!({});
    match supabase
        .call(&layout.table, "boboyka_comparison", &no_arguments)
        .await
    {
        Ok(answer) if serde_json::from_slice::<u32>(&answer).ok() == Some(COMPARISON) => {
            Ok(Functions::Current)
        }
        Ok(_) => Ok(Functions::Other),
        Err(failure) if failure.class == Class::Transient => Err(failure),
        // Files before the second version had no such function.
        Err(_) => match described(supabase, layout).await {
            Ok(_) => Ok(Functions::Other),
            Err(failure) if failure.class == Class::Transient => Err(failure),
            Err(_) => Ok(Functions::Missing),
        },
    }
}

fn needs_functions(layout: &Layout, functions: Functions) -> Unknown {
    let again = match functions {
        Functions::Other => {
            " of this version, and those that are there are of another: run it again"
        }
        Functions::Current | Functions::Missing => ": run it",
    };
    Unknown::because(format!(
        "table {} has a row for each key, and comparing those needs the functions of schema.sql{again}",
        layout.table
    ))
}

/// The columns of a table by the function of `schema.sql`.
async fn described(supabase: &Supabase, layout: &Layout) -> Result<Vec<TableColumn>, Failure> {
    let arguments = json!({"p_table": layout.table});
    let answer = supabase.call(&layout.table, "boboyka_columns", &arguments);
    let columns: Vec<ColumnAnswer> =
        serde_json::from_slice(&answer.await?).map_err(|_| Failure::not_postgrest())?;
    let column = |column: ColumnAnswer| TableColumn {
        kind: column.kind.as_deref().and_then(Kind::named),
        name: column.name,
        has_default: column.has_default,
    };
    Ok(columns.into_iter().map(column).collect())
}

/// The columns of a table by the description that `PostgREST` gives of the schema.
async fn documented(supabase: &Supabase, layout: &Layout) -> Result<Vec<TableColumn>, Unknown> {
    #[derive(Deserialize)]
    struct Document {
        definitions: HashMap<String, Definition>,
    }
    #[derive(Deserialize)]
    struct Definition {
        properties: HashMap<String, Property>,
    }
    #[derive(Deserialize)]
    struct Property {
        #[serde(default)]
        format: String,
        default: Option<serde_json::Value>,
    }
    let answer = supabase.description(&layout.table).await;
    let answer = answer.map_err(|failure| Unknown::because(failure.message))?;
    let missing = || {
        Unknown::because(format!(
            "supabase does not describe the columns of table {}: run schema.sql, whose functions do",
            layout.table
        ))
    };
    let mut document: Document = serde_json::from_slice(&answer).map_err(|_| missing())?;
    let table = document.definitions.remove(&*layout.table);
    let columns = table.ok_or_else(missing)?.properties.into_iter();
    let column = |(name, property): (String, Property)| TableColumn {
        name,
        kind: Kind::of_type(&property.format),
        has_default: property.default.is_some(),
    };
    Ok(columns.map(column).collect())
}

/// Postgres' numbers have a sign.
fn signed(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
