//! Which columns of a table are compared, and which can't be. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::kind::Kind;
use crate::preflight::Shape;
use crate::table::{Layout, Mode};

/// The columns of a row as JSON, by name.
pub(crate) type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// A column as the database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    /// What it holds; none for what can't be compared.
    pub(crate) kind: Option<Kind>,
    /// Whether a row that names no value for it gets one.
    pub(crate) has_default: bool,
}

/// A column that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    /// The field of the payload that fills it; none for the mirror's own columns.
    pub(crate) field: Option<Arc<str>>,
    /// Whether it is compared also when the record has no such field: it is null then.
    pub(crate) absent: bool,
}

/// How rows of a table are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) compared: Vec<Compared>,
    /// Columns that the mirror fills and that are not compared.
    pub(crate) unchecked: Vec<Arc<str>>,
    /// The column with the whole record, if it holds JSON.
    pub(crate) payload: Option<Arc<str>>,
}

impl Columns {
    /// What can be compared of a table, by the functions of `schema.sql` or without them.
    ///
    /// # Errors
    /// Why nothing can: the table lacks a column that names a row.
    pub(crate) fn new(
        layout: &Layout,
        shape: &Shape,
        table: &[TableColumn],
        by_functions: bool,
    ) -> Result<Self, String> {
        let own = &layout.own;
        if let Some(missing) = [&own.record_hash, &own.strand, &own.seq]
            .into_iter()
            .find(|column| !shape.has(column))
        {
            return Err(format!(
                "table {} has no column {missing}, by which its rows are compared: run schema.sql",
                layout.table
            ));
        }
        let table: HashMap<&str, &TableColumn> = table.iter().map(|it| (&*it.name, it)).collect();
        let kind = |name: &str| table.get(name).and_then(|column| column.kind);
        let payload = (shape.has(&own.payload) && kind(&own.payload) == Some(Kind::Json))
            .then(|| Arc::clone(&own.payload));
        let fields = layout.fields.iter().map(|column| {
            let default = table.get(&*column.name).is_none_or(|it| it.has_default);
            // A state keeps what older records said of a field that the newest does not have.
            let absent = shape.mode == Mode::Append && !default;
            (&column.name, Some(column.field.as_str()), absent)
        });
        let own = [&own.payload, &own.record_hash, &own.ingested_at_ms];
        let all = fields.chain(own.map(|name| (name, None, false)));
        let (mut compared, mut unchecked) = (Vec::new(), Vec::new());
        for (name, field, absent) in all.filter(|(name, _, _)| shape.has(name)) {
            let telling = field.is_none() || absent || payload.is_some();
            // The database knows every form of a time; it needs the payload to see what was written.
            let casts = by_functions && field.is_some() && payload.is_some();
            let kind = match kind(name) {
                Some(Kind::Time(_)) if casts => Some(Kind::Cast),
                Some(Kind::Cast) if !casts => None,
                kind => kind,
            };
            match kind.filter(|_| telling) {
                Some(kind) => compared.push(Compared {
                    name: Arc::clone(name),
                    kind,
                    field: field.map(Arc::from),
                    absent,
                }),
                None => unchecked.push(Arc::clone(name)),
            }
        }
        Ok(Self {
            compared,
            unchecked,
            payload,
        })
    }

    /// The first column whose value can't be read here, of a row as it should be.
    pub(crate) fn unreadable(&self, row: &Members<'_>) -> Option<&Arc<str>> {
        let value = |column: &Compared| row.get(&*column.name).filter(|it| it.get() != "null");
        let unreadable =
            |column: &&Compared| value(column).is_some_and(|value| !column.kind.can_read(value));
        self.compared.iter().find(unreadable).map(|it| &it.name)
    }

    /// What the functions of `schema.sql` are told.
    pub(crate) fn layout<'a>(&'a self, layout: &'a Layout, shape: &'a Shape) -> LayoutJson<'a> {
        LayoutJson {
            table: &layout.table,
            strand: &layout.own.strand,
            seq: &layout.own.seq,
            record_hash: &layout.own.record_hash,
            ingested_at_ms: &layout.own.ingested_at_ms,
            payload: self.payload.as_deref(),
            key: shape.key.iter().map(|column| &**column).collect(),
            columns: self.compared.iter().map(ColumnJson::from).collect(),
        }
    }
}

/// The layout as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct LayoutJson<'a> {
    table: &'a str,
    strand: &'a str,
    seq: &'a str,
    record_hash: &'a str,
    ingested_at_ms: &'a str,
    payload: Option<&'a str>,
    key: Vec<&'a str>,
    columns: Vec<ColumnJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ColumnJson<'a> {
    name: &'a str,
    field: Option<&'a str>,
    kind: &'static str,
    absent: bool,
}

impl<'a> From<&'a Compared> for ColumnJson<'a> {
    fn from(column: &'a Compared) -> Self {
        Self {
            name: &column.name,
            field: column.field.as_deref(),
            kind: column.kind.name(),
            absent: column.absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use boboyka_strand::RecordType;

    use super::{Columns, Kind, Layout, Mode, Shape, TableColumn};
    use crate::table::TableSettings;

    fn shape(layout: &Layout, mode: Mode) -> Shape {
        Shape {
            mode,
            columns: layout.columns(),
            ..Shape::default()
        }
    }

    fn table(layout: &Layout) -> Vec<TableColumn> {
        let column = |name: &std::sync::Arc<str>| TableColumn {
            name: name.to_string(),
            kind: Some(if **name == *"payload" {
                Kind::Json
            } else {
                Kind::Text
            }),
            has_default: &**name == "status",
        };
        layout.columns().iter().map(column).collect()
    }

    #[test]
    fn a_column_that_may_get_a_default_is_compared_only_where_the_record_has_its_field() {
        let layout = Layout::new(RecordType::ProjectBuild, &TableSettings::default());
        let columns = Columns::new(
            &layout,
            &shape(&layout, Mode::Append),
            &table(&layout),
            true,
        )
        .unwrap();
        let absent = |columns: &Columns, name: &str| {
            columns
                .compared
                .iter()
                .find(|it| &*it.name == name)
                .unwrap()
                .absent
        };
        assert!(absent(&columns, "agent_id") && !absent(&columns, "status"));
        let latest = Columns::new(
            &layout,
            &shape(&layout, Mode::Latest),
            &table(&layout),
            true,
        )
        .unwrap();
        assert!(
            !absent(&latest, "agent_id"),
            "an older record may have filled it"
        );
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let layout = Layout::new(RecordType::ProjectBuild, &TableSettings::default());
        let mut table = table(&layout);
        for column in &mut table {
            if ["agent_id", "payload"].contains(&column.name.as_str()) {
                column.kind = None;
            }
        }
        let columns = Columns::new(&layout, &shape(&layout, Mode::Append), &table, true).unwrap();
        let unchecked: Vec<&str> = columns.unchecked.iter().map(|it| &**it).collect();
        assert_eq!(unchecked, ["status", "agent_id", "payload"]);
        let mut lacking = shape(&layout, Mode::Append);
        lacking.columns.retain(|column| &**column != "seq");
        let reason = Columns::new(&layout, &lacking, &table, true).unwrap_err();
        assert!(reason.contains("no column seq"), "{reason}");
    }
}
