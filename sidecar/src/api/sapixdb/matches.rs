//! The client's filter: one field and the value that it must have.

use boboyka_strand::Block;
use boboyka_strand::record::field;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// `{"field": …, "op": "eq", "value": …}`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    field: String,
    #[serde(default)]
    op: Op,
    value: Value,
}

/// The comparisons that there are.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    #[default]
    Eq,
}

impl Filter {
    /// The field has the value.
    pub(super) fn new(field: String, value: Value) -> Self {
        let op = Op::Eq;
        Self { field, op, value }
    }

    /// Whether a record has the value in the field.
    pub(super) fn admits(&self, block: &Block) -> bool {
        let found = field(&block.payload, &self.field);
        match self.op {
            Op::Eq => found.is_some_and(|found| is_same(&found, &self.value)),
        }
    }
}

/// 1 and 1.0 are one number.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let whole = a.is_f64() || b.is_f64();
            a == b || (whole && a.as_f64() == b.as_f64())
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_the_same_however_they_are_written_and_nothing_else_is() {
        assert!(is_same(&json!(1), &json!(1.0)));
        assert!(is_same(&json!("a"), &json!("a")));
        for (a, b) in [
            (json!(u64::MAX), json!(u64::MAX - 1)),
            (json!(1), json!("1")),
            (json!(0), json!(false)),
            (json!(null), json!(0)),
        ] {
            assert!(!is_same(&a, &b), "{a} {b}");
        }
    }
}
