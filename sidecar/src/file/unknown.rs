//! Fields that the definition of an integration does not have: a mistyped name must not pass unnoticed. Pure.

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// The first field of a specification that the definition does not know, as a path from the root.
pub(super) fn field(spec: &Value) -> Option<Vec<String>> {
    let mut path = vec!["spec".to_owned()];
    let schema = schema()?.pointer("/properties/spec")?;
    is_unknown(schema, spec, &mut path).then_some(path)
}

/// Whether something below is not known; `path` leads to it then.
fn is_unknown(schema: &Value, value: &Value, path: &mut Vec<String>) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            path.push(name.clone());
            let unknown = match schema_of(schema, name) {
                None => true,
                Some(schema) => is_unknown(schema, value, path),
            };
            if !unknown {
                path.pop();
            }
            unknown
        }),
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&ANYTHING);
            items.iter().any(|item| is_unknown(schema, item, path))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

const ANYTHING: Value = Value::Null;

fn schema_of<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let known = properties.and_then(|properties: &Map<String, Value>| properties.get(name));
    let is_free = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let others = schema.get("additionalProperties");
    let free = (properties.is_none() || is_free).then_some(&ANYTHING);
    known.or(others).or(free)
}

/// The schema of the definition, which is the same for the life of the process.
fn schema() -> Option<&'static Value> {
    static SCHEMA: OnceLock<Option<Value>> = OnceLock::new();
    let made = SCHEMA.get_or_init(|| {
        let [integration, _] = boboyka_crds::definitions().ok()?;
        let version = integration.spec.versions.into_iter().next()?;
        serde_json::to_value(version.schema?.open_api_v3_schema?).ok()
    });
    made.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::field;

    #[test]
    fn a_field_that_the_definition_does_not_have_is_named_wherever_it_stands() {
        for (spec, path) in [
            (json!({"phaze": "CutOver"}), "spec.phaze"),
            (
                json!({"supabase": {"secretRef": {"nam": "s"}}}),
                "spec.supabase.secretRef.nam",
            ),
            (
                json!({"supabase": {"mirror": {"tables": {"audit_log": {"tabel": "a"}}}}}),
                "spec.supabase.mirror.tables.audit_log.tabel",
            ),
            (
                json!({"phase": {}, "retention": {"maxage": "1h"}}),
                "spec.retention.maxage",
            ),
        ] {
            assert_eq!(
                field(&spec).map(|path| path.join(".")).as_deref(),
                Some(path)
            );
        }
        let known = json!({
            "phase": "CutOver", "sidecar": {"resources": {"limits": {"cpu": 1}}},
            "supabase": {"secretRef": {"name": "s"}, "mirror": {"tables": {"audit_log": {"columns": {"a": "b"}}}}},
            "workloadSelector": {"matchLabels": {"any": "thing"}, "matchExpressions": [{"key": "k", "operator": "Exists"}]},
        });
        assert_eq!(field(&known), None);
    }
}
