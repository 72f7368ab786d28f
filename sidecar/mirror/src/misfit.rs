//! Which column a value does not fit, and what kind of value it is. Postgres names the type and mostly
//! quotes the value, but not the column; the row that was sent tells whose value it is. The value itself
//! goes no further. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// Longest name of a type that is repeated, such as `timestamp with time zone`.
const TYPE_MAX_BYTES: usize = 40;

/// Whether a code says that a value does not fit the type of its column.
pub(crate) fn is_misfit(code: &str) -> bool {
    matches!(
        code,
        "22P02" | "22003" | "22001" | "22007" | "22008" | "22P05"
    )
}

/// Names the column, the kind of value and the type that it does not fit. `None` when the answer is not
/// about that, or `sent` is not one row.
pub(crate) fn words(code: &str, message: &str, sent: &[u8]) -> Option<String> {
    if !is_misfit(code) {
        return None;
    }
    let rows: Vec<BTreeMap<String, Value>> = serde_json::from_slice(sent).ok()?;
    let [row] = rows.as_slice() else {
        return None;
    };
    let wanted = type_name(message);
    let to = wanted.map_or_else(|| "its type".to_owned(), |name| format!("the type {name}"));
    let (columns, kind) = culprits(code, message, row)?;
    Some(format!("column {columns}: {kind} does not fit {to}"))
}

/// The columns whose value it can be, and the kind of the value.
fn culprits(
    code: &str,
    message: &str,
    row: &BTreeMap<String, Value>,
) -> Option<(String, &'static str)> {
    let length = (code == "22001").then(|| length_max(message)).flatten();
    let quoted = message.find('"').and_then(|start| {
        let end = message.rfind('"').filter(|end| *end > start)?;
        message.get(start + 1..end)
    });
    let fits_not = |value: &&Value| match (quoted, length) {
        (Some(quoted), _) => is_quoted(value, quoted),
        (None, Some(length)) => value
            .as_str()
            .is_some_and(|text| text.chars().count() > length),
        (None, None) => false,
    };
    let mut found: Vec<(&String, &Value)> =
        row.iter().filter(|(_, value)| fits_not(value)).collect();
    if found.iter().any(|(name, _)| !is_own(name)) {
        // Where it can also be one of the record's fields, it is none of the mirror's own columns.
        found.retain(|(name, _)| !is_own(name));
    }
    let kind = kind(found.first()?.1);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    Some((names.join(" or "), kind))
}

fn is_own(column: &str) -> bool {
    matches!(column, "record_hash" | "strand")
}

fn is_quoted(value: &Value, quoted: &str) -> bool {
    match value {
        Value::String(text) => text == quoted,
        Value::Number(number) => number.to_string() == quoted,
        Value::Bool(it) => it.to_string() == quoted,
        // Postgres writes JSON with spaces of its own.
        Value::Object(_) | Value::Array(_) => {
            serde_json::from_str::<Value>(quoted).is_ok_and(|quoted| quoted == *value)
        }
        Value::Null => false,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::Bool(_) => "a boolean",
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::Null => "a null",
    }
}

/// The type that a message of Postgres' names, before the value that it may quote.
fn type_name(message: &str) -> Option<&str> {
    let (_, after) = message.rsplit_once("type ")?;
    let name = after.split([':', '"']).next()?.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" _(),".contains(&byte);
    ((1..=TYPE_MAX_BYTES).contains(&name.len()) && name.bytes().all(plain)).then_some(name)
}

/// The `N` of `character varying(N)`.
fn length_max(message: &str) -> Option<usize> {
    let (_, after) = message.split_once('(')?;
    after.split(')').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::words;

    const ROW: &[u8] = br#"[{"agent_id":"topsecret","cpu_pct":1.5,"memory_mb":3000000000,
        "metadata":{"a":1},"checked_at_ms":7,"notes":"far too long","twin":"far too long",
        "record_hash":"00000000000000000000"}]"#;

    #[test]
    fn the_column_and_the_kind_of_value_are_named_and_the_value_is_not() {
        for (code, message, expected) in [
            (
                "22P02",
                r#"invalid input syntax for type uuid: "topsecret""#,
                "column agent_id: a text does not fit the type uuid",
            ),
            (
                "22P02",
                r#"invalid input syntax for type integer: "1.5""#,
                "column cpu_pct: a number with a fraction does not fit the type integer",
            ),
            (
                "22003",
                r#"value "3000000000" is out of range for type integer"#,
                "column memory_mb: a whole number does not fit the type integer",
            ),
            (
                "22P02",
                r#"invalid input syntax for type integer: "{"a": 1}""#,
                "column metadata: an object does not fit the type integer",
            ),
            (
                "22008",
                r#"date/time field value out of range: "topsecret""#,
                "column agent_id: a text does not fit its type",
            ),
            (
                "22001",
                "value too long for type character varying(10)",
                "column notes or twin: a text does not fit the type character varying(10)",
            ),
        ] {
            assert_eq!(words(code, message, ROW).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_understood_names_nothing() {
        let quoted = r#"invalid input syntax for type uuid: "else""#;
        assert_eq!(words("22P02", quoted, ROW), None);
        assert_eq!(words("23514", quoted, ROW), None);
        assert_eq!(words("22P02", quoted, b"[{},{}]"), None);
        let forged = r#"a type topsecret; drop: "topsecret""#;
        let told = words("22P02", forged, ROW).unwrap();
        assert!(!told.contains("topsecret"), "{told}");
    }
}
