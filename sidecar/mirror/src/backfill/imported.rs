//! A row as a record: what `row` does, the other way round. Columns become fields, renamed ones get their field's name back,
//! and a null is a field that is not there. A row that is no record of its table's type becomes a document with the columns
//! as they are. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use boboyka_strand::record::Row;
use boboyka_strand::{Record, RecordError, RecordType};
use serde_json::value::RawValue;

use crate::table::Layout;

/// A row of an answer.
pub(super) type Columns<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Characters of a key that are shown.
const KEY_SHOWN: usize = 128;

/// The values of the key's columns as text; `None` when the row lacks one.
pub(super) fn key_of(key: &[String], row: &Columns<'_>) -> Option<Vec<String>> {
    let value = |name: &String| match row.get(name.as_str())?.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        other => Some(other.to_owned()),
    };
    key.iter().map(value).collect()
}

/// The key as people read it, such as `id=17`.
pub(super) fn shown_key(key: &[String], values: &[String]) -> String {
    let parts: Vec<String> = key
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parts.join(",").chars().take(KEY_SHOWN).collect()
}

/// The record that a row becomes.
///
/// # Errors
/// The column that no record can hold, and why.
pub(super) fn record(
    record_type: RecordType,
    layout: &Layout,
    key: &str,
    row: &Columns<'_>,
) -> Result<Record, String> {
    let from = Row {
        table: &layout.table,
        key,
    };
    let field = |column: &str| {
        let known = layout.fields.iter().find(|it| *it.name == *column);
        known.map_or_else(|| column.to_owned(), |it| it.field.clone())
    };
    match Record::imported(record_type, &object(row, field), from) {
        Ok(record) => Ok(record),
        Err(error) => document(row.clone(), from, &why(&error)),
    }
}

/// A document of the columns; a value that no record holds, such as a number with more digits than a double has, is kept as
/// its JSON text.
fn document(mut row: Columns<'_>, from: Row<'_>, unfit: &str) -> Result<Record, String> {
    let mut as_text: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
    loop {
        let texts = as_text
            .iter()
            .map(|(name, text)| (Cow::from(name.as_str()), &**text));
        let data = object(
            &row.clone().into_iter().chain(texts).collect(),
            str::to_owned,
        );
        let error = match Record::imported_document(&data, from, unfit) {
            Ok(record) => return Ok(record),
            Err(error) => error,
        };
        let column = error
            .field()
            .and_then(|path| row.keys().find(|column| is_of(path, column)));
        // A column whose name is refused has its text in the way as well.
        let column = column.filter(|_| !matches!(error, RecordError::ReservedKey { .. }));
        let Some((name, value)) = column.cloned().and_then(|it| row.remove_entry(&it)) else {
            return Err(why(&error));
        };
        let text = serde_json::value::to_raw_value(value.get()).map_err(|it| it.to_string())?;
        as_text.insert(name.into_owned(), text);
    }
}

/// Whether a path leads into this column.
fn is_of(path: &str, column: &str) -> bool {
    let rest = path.strip_prefix(column);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn why(error: &RecordError) -> String {
    match error.field() {
        Some(field) => format!("{field} {error}"),
        None => error.to_string(),
    }
}

/// The columns that are not null as a JSON object. Values are copied as text, so that no number is rounded.
fn object(row: &Columns<'_>, name: impl Fn(&str) -> String) -> String {
    let columns = row.iter().filter(|(_, value)| value.get() != "null");
    let members: Vec<String> = columns
        .map(|(column, value)| format!("{}:{}", serde_json::Value::from(name(column)), value.get()))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use boboyka_strand::{PayloadJson, Record, RecordType};
    use serde_json::{Value, json};

    use super::{key_of, record, shown_key};
    use crate::table::{Layout, TableSettings};

    fn import(settings: &TableSettings, row: &Value) -> Result<Record, String> {
        let text = row.to_string();
        let columns = serde_json::from_str(&text).unwrap();
        let layout = Layout::new(RecordType::AgentHealth, settings);
        record(RecordType::AgentHealth, &layout, "id=7", &columns)
    }

    fn data(record: &Record) -> Value {
        serde_json::to_value(PayloadJson(record.payload())).unwrap()
    }

    #[test]
    fn columns_become_fields_and_what_the_type_does_not_know_is_kept() {
        let columns = BTreeMap::from([("agent_id".to_owned(), "agent".to_owned())]);
        let settings = TableSettings {
            columns,
            ..TableSettings::default()
        };
        let row = json!({"id": 7, "agent": "é", "status": "healthy", "cpu_pct": null, "checked_at_ms": 5,
                         "created_at": "2024-01-01T00:00:00+00:00", "record_hash": null});
        let record = import(&settings, &row).unwrap();
        assert_eq!(record.record_type(), RecordType::AgentHealth);
        assert_eq!(
            data(&record),
            json!({"id": 7, "agent_id": "é", "status": "healthy", "checked_at_ms": 5,
                   "created_at": "2024-01-01T00:00:00+00:00", "_boboyka_origin": "backfill",
                   "_boboyka_table": "agent_health", "_boboyka_row": "id=7"})
        );
    }

    #[test]
    fn a_row_that_is_no_record_of_its_type_is_a_document_that_says_why() {
        for (row, why) in [
            (
                json!({"agent_id": "a", "status": "on fire"}),
                "status must be one of healthy, degraded, unhealthy",
            ),
            (json!({"status": "healthy"}), "agent_id is required"),
        ] {
            let record = import(&TableSettings::default(), &row).unwrap();
            assert_eq!(record.record_type(), RecordType::Document);
            let data = data(&record);
            assert_eq!(data["_boboyka_unfit"], why);
            assert_eq!(
                (&data["_boboyka_collection"], &data["status"]),
                (&json!("unfit_agent_health"), &row["status"])
            );
        }
    }

    #[test]
    fn a_row_that_no_record_holds_is_refused_by_its_column() {
        let row = json!({"agent_id": "a", "status": "healthy", "_boboyka_origin": "backfill"});
        let why = import(&TableSettings::default(), &row).unwrap_err();
        assert!(why.starts_with("_boboyka_origin begins with"), "{why}");
    }

    #[test]
    fn a_value_that_no_record_holds_is_kept_as_its_text_in_a_document() {
        let text = r#"{"agent_id": "a", "status": "healthy", "memory_mb": 1e400, "ratio": 0.33333333333333333333,
                       "labels": {"x": [18446744073709551616]}}"#;
        let columns = serde_json::from_str(text).unwrap();
        let layout = Layout::new(RecordType::AgentHealth, &TableSettings::default());
        let record = record(RecordType::AgentHealth, &layout, "id=7", &columns).unwrap();
        let data = data(&record);
        assert_eq!(
            (&data["memory_mb"], &data["ratio"], &data["labels"]),
            (
                &json!("1e400"),
                &json!("0.33333333333333333333"),
                &json!(r#"{"x": [18446744073709551616]}"#)
            )
        );
        assert_eq!(data["agent_id"], "a");
    }

    #[test]
    fn a_key_is_the_text_of_its_values() {
        let text = r#"{"id": 9007199254740993, "name": "a\"b", "none": null}"#;
        let row = serde_json::from_str(text).unwrap();
        let key = ["id", "name"].map(str::to_owned);
        let values = key_of(&key, &row).unwrap();
        assert_eq!(values, ["9007199254740993", "a\"b"]);
        assert_eq!(shown_key(&key, &values), "id=9007199254740993,name=a\"b");
        assert_eq!(key_of(&["none".to_owned()], &row), None);
    }
}
