//! Which rows of a table are history, and in which order they are read: by the primary key, each page behind the last row
//! of the page before. Pure.

use jiff::Timestamp;

use crate::table::Layout;

/// A column, as `PostgREST` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type in Postgres.
    pub(super) format: String,
    pub(super) is_key: bool,
}

/// The history of a table, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keyset {
    /// The primary key.
    pub(super) key: Vec<String>,
    /// What holds of every row.
    conditions: Vec<String>,
}

/// The time of a row that came into being by an insert, as Supabase's own tables have it.
const CREATED_AT: &str = "created_at";

impl Keyset {
    /// The rows that no strand wrote and that say of themselves to be from `until_ms` or before. A row that does not say
    /// when it is from is history too. `None` for a table without a primary key.
    pub(super) fn new(
        layout: &Layout,
        time_field: Option<&str>,
        columns: &[Column],
        until_ms: u64,
    ) -> Option<Self> {
        let mut key: Vec<String> = Vec::new();
        key.extend(
            columns
                .iter()
                .filter(|it| it.is_key)
                .map(|it| it.name.clone()),
        );
        key.sort_unstable();
        let named = |name: &str| columns.iter().find(|column| column.name == name);
        let own = [&layout.own.record_hash, &layout.own.strand];
        let unwritten = own.into_iter().filter_map(|name| named(name));
        let unwritten: Vec<String> = unwritten
            .map(|column| format!("{}.is.null", quoted_name(&column.name)))
            .collect();
        let time = layout
            .fields
            .iter()
            .find(|it| Some(it.field.as_str()) == time_field);
        let times = [time.map(|it| &*it.name), Some(CREATED_AT)];
        let times = times.into_iter().flatten().filter_map(named);
        let mut conditions: Vec<String> = times
            .filter_map(|column| not_after(column, until_ms))
            .collect();
        conditions.dedup();
        if !unwritten.is_empty() {
            conditions.push(format!("or({})", unwritten.join(",")));
        }
        (!key.is_empty()).then_some(Self { key, conditions })
    }

    /// The query for the next rows.
    pub(super) fn page(
        &self,
        select: &str,
        after: &[String],
        limit: usize,
    ) -> Vec<(&'static str, String)> {
        let names = self.key.iter().map(|name| quoted_name(name));
        let order: Vec<String> = names.map(|name| format!("{name}.asc")).collect();
        let mut conditions = self.conditions.clone();
        if !after.is_empty() {
            conditions.push(behind(&self.key, after));
        }
        let mut query = vec![
            ("select", select.to_owned()),
            ("order", order.join(",")),
            ("limit", limit.to_string()),
        ];
        if !conditions.is_empty() {
            query.push(("and", format!("({})", conditions.join(","))));
        }
        query
    }

    /// The columns of the key, to be selected.
    pub(super) fn key_columns(&self) -> String {
        let names: Vec<String> = self.key.iter().map(|name| quoted_name(name)).collect();
        names.join(",")
    }
}

/// The condition that a row does not say to be younger; `None` for a column that holds no time.
fn not_after(column: &Column, until_ms: u64) -> Option<String> {
    let literal = match column.format.as_str() {
        "bigint" | "numeric" | "double precision" => until_ms.to_string(),
        format if format.starts_with("timestamp") => rfc3339(until_ms),
        _ => return None,
    };
    let name = quoted_name(&column.name);
    Some(format!(
        "or({name}.is.null,{name}.lte.{})",
        quoted(&literal)
    ))
}

/// The condition that a row comes behind these values of the key: `a > x or (a = x and (b > y or …))`.
fn behind(key: &[String], after: &[String]) -> String {
    let mut condition = String::new();
    for (name, value) in key.iter().zip(after).rev() {
        let (name, value) = (quoted_name(name), quoted(value));
        condition = if condition.is_empty() {
            format!("or({name}.gt.{value})")
        } else {
            format!("or({name}.gt.{value},and({name}.eq.{value},{condition}))")
        };
    }
    condition
}

/// A time as Postgres reads it.
pub(super) fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    time.to_string()
}

/// A value that may have any character in it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A column's name, in quotes where `PostgREST` would read something else.
fn quoted_name(name: &str) -> String {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_plain {
        name.to_owned()
    } else {
        quoted(name)
    }
}

#[cfg(test)]
mod tests {
    use boboyka_strand::RecordType;

    use super::{Column, Keyset, Layout};
    use crate::table::TableSettings;

    fn column(name: &str, format: &str, is_key: bool) -> Column {
        Column {
            name: name.to_owned(),
            format: format.to_owned(),
            is_key,
        }
    }

    fn keyset(columns: &[Column]) -> Option<Keyset> {
        let layout = Layout::new(RecordType::AuditLog, &TableSettings::default());
        Keyset::new(&layout, Some("timestamp_ms"), columns, 1_747_000_000_042)
    }

    #[test]
    fn rows_come_behind_the_key_of_the_last_one_whatever_it_holds() {
        let keyset = keyset(&[column("id", "text", true)]).unwrap();
        let page = keyset.page("*", &[r#"a"b\c,d)"#.to_owned()], 7);
        assert_eq!(
            page,
            [
                ("select", "*".to_owned()),
                ("order", "id.asc".to_owned()),
                ("limit", "7".to_owned()),
                ("and", r#"(or(id.gt."a\"b\\c,d)"))"#.to_owned()),
            ]
        );
        assert_eq!(keyset.page("*", &[], 7).len(), 3, "nothing to ask for");
    }

    #[test]
    fn a_key_of_two_columns_is_passed_in_both() {
        let columns = [column("b", "uuid", true), column("a c", "bigint", true)];
        let keyset = keyset(&columns).unwrap();
        let page = keyset.page("*", &["1".to_owned(), "x".to_owned()], 1);
        assert_eq!(page[1].1, r#""a c".asc,b.asc"#);
        assert_eq!(
            page[3].1,
            r#"(or("a c".gt."1",and("a c".eq."1",or(b.gt."x"))))"#
        );
    }

    #[test]
    fn what_a_strand_wrote_and_what_is_younger_is_left_out_where_the_table_can_tell() {
        let columns = [
            column("id", "bigint", true),
            column("record_hash", "text", false),
            column("timestamp_ms", "bigint", false),
            column("created_at", "timestamp with time zone", false),
        ];
        let page = keyset(&columns).unwrap().page("*", &[], 1);
        assert_eq!(
            page[3].1,
            "(or(timestamp_ms.is.null,timestamp_ms.lte.\"1747000000042\"),\
             or(created_at.is.null,created_at.lte.\"2025-05-11T21:46:40.042Z\"),or(record_hash.is.null))"
        );
        let odd = [
            column("id", "bigint", true),
            column("timestamp_ms", "text", false),
        ];
        assert_eq!(keyset(&odd).unwrap().page("*", &[], 1).len(), 3);
    }

    #[test]
    fn a_table_without_a_primary_key_has_no_order() {
        assert_eq!(keyset(&[column("id", "bigint", false)]), None);
    }
}
