//! Where a record type's rows go: which table, which column takes which field, and whether the table
//! gets a row for each record or one for each build, queue item or agent. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use boboyka_strand::RecordType;

/// Whether a table gets a row for each record, or one for each thing that records tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A row for each record.
    Append,
    /// A row for each key, which holds the newest value of every column.
    Latest,
}

impl Mode {
    /// The name in settings and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Latest => "latest",
        }
    }
}

/// How a table differs from the product's own. Empty for one that does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSettings {
    /// The table's name.
    pub table: Option<String>,
    /// The mode; without it, what the table's unique keys allow decides.
    pub mode: Option<Mode>,
    /// The fields, or their columns, that name a row in [`Mode::Latest`].
    pub key: Vec<String>,
    /// Columns of another name than their field's.
    pub columns: BTreeMap<String, String>,
}

/// The column for one field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The field.
    pub field: String,
    /// The column.
    pub name: Arc<str>,
}

/// The columns that a row may have beside its record's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnColumns {
    /// The whole record.
    pub payload: Arc<str>,
    /// The block's hash: a unique key on it makes an insert harmless to repeat.
    pub record_hash: Arc<str>,
    /// The strand's id.
    pub strand: Arc<str>,
    /// The block's place.
    pub seq: Arc<str>,
    /// When the block was appended.
    pub ingested_at_ms: Arc<str>,
}

/// A table as the lane fills it: the settings with the defaults of the record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The table's name.
    pub table: Arc<str>,
    /// The mode that was asked for.
    pub mode: Option<Mode>,
    /// The columns that name a row; empty when the type has no natural key.
    pub key: Vec<Arc<str>>,
    /// The record's fields, the known ones first.
    pub fields: Vec<Column>,
    /// The other columns.
    pub own: OwnColumns,
}

impl Layout {
    /// The layout of a record type's table.
    pub(crate) fn new(record_type: RecordType, settings: &TableSettings) -> Self {
        let renamed = &settings.columns;
        let column =
            |field: &str| -> Arc<str> { renamed.get(field).map_or(field, String::as_str).into() };
        let known = record_type.fields().iter().map(|field| field.name);
        let is_more = |field: &&str| !OWN.contains(field) && known.clone().all(|k| k != *field);
        let more = renamed.keys().map(String::as_str).filter(is_more);
        let fields: Vec<Column> = known
            .clone()
            .chain(more)
            .map(|field| Column {
                field: field.to_owned(),
                name: column(field),
            })
            .collect();
        let natural = record_type.key().map(str::to_owned);
        let key = if settings.key.is_empty() {
            natural.into_iter().collect()
        } else {
            settings.key.clone()
        };
        let is_field = |name: &str| fields.iter().any(|field| field.field == name);
        let key = key
            .iter()
            .map(|name| {
                if is_field(name) {
                    column(name)
                } else {
                    name.as_str().into()
                }
            })
            .collect();
        Self {
            table: settings
                .table
                .as_deref()
                .or(record_type.table())
                .unwrap_or_default()
                .into(),
            mode: settings.mode,
            key,
            fields,
            own: OwnColumns {
                payload: column("payload"),
                record_hash: column("record_hash"),
                strand: column("strand"),
                seq: column("seq"),
                ingested_at_ms: column("ingested_at_ms"),
            },
        }
    }

    /// All columns that a row may fill.
    pub(crate) fn columns(&self) -> Vec<Arc<str>> {
        let own = &self.own;
        let fields = self.fields.iter().map(|field| &field.name);
        fields
            .chain([
                &own.payload,
                &own.record_hash,
                &own.strand,
                &own.seq,
                &own.ingested_at_ms,
            ])
            .cloned()
            .collect()
    }
}

/// The names of [`OwnColumns`] as fields.
const OWN: [&str; 5] = ["payload", "record_hash", "strand", "seq", "ingested_at_ms"];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boboyka_strand::RecordType;

    use super::{Layout, TableSettings};

    #[test]
    fn an_integration_knows_the_products_own_tables() {
        for record_type in RecordType::ALL {
            let own = BTreeMap::new();
            let known = boboyka_crds::table_of(record_type.name(), &own);
            assert_eq!(known, record_type.table());
        }
    }

    #[test]
    fn a_table_without_settings_is_the_products_own() {
        let layout = Layout::new(RecordType::ProjectBuild, &TableSettings::default());
        assert_eq!(
            (&*layout.table, &*layout.key[0]),
            ("project_builds", "build_id")
        );
        assert_eq!(layout.columns().len(), 12);
        let audit = Layout::new(RecordType::AuditLog, &TableSettings::default());
        assert!(audit.key.is_empty());
    }

    #[test]
    fn renamed_columns_are_used_for_fields_own_columns_and_the_key() {
        let settings = TableSettings {
            table: Some("builds".to_owned()),
            columns: BTreeMap::from(
                [
                    ("build_id", "id"),
                    ("payload", "raw"),
                    ("branch", "git_branch"),
                ]
                .map(|(field, column)| (field.to_owned(), column.to_owned())),
            ),
            ..TableSettings::default()
        };
        let layout = Layout::new(RecordType::ProjectBuild, &settings);
        assert_eq!((&*layout.table, &*layout.key[0]), ("builds", "id"));
        let columns = layout.columns();
        for column in ["id", "raw", "git_branch", "record_hash"] {
            assert!(columns.iter().any(|name| &**name == column), "{column}");
        }
        assert!(
            columns
                .iter()
                .all(|name| !["build_id", "payload"].contains(&&**name))
        );
        let by_column = TableSettings {
            key: vec!["id".to_owned(), "project_id".to_owned()],
            ..settings
        };
        let key = Layout::new(RecordType::ProjectBuild, &by_column).key;
        assert_eq!(
            key.iter().map(|name| &**name).collect::<Vec<_>>(),
            ["id", "project_id"]
        );
    }
}
