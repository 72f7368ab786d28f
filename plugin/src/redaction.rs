//! What a report leaves out: secrets, payloads, and what only the cluster itself needs. Pure.

use std::sync::LazyLock;

use boboyka_crds::names;
use regex::Regex;
use serde_json::{Map, Value};

/// What stands in the place of what was left out.
const LEFT_OUT: &str = "(left out)";
/// Containers whose variables hold no secret; those of all others are their authors' own.
const OURS: [&str; 2] = [names::CONTAINER, "operator"];
/// Annotations and fields whose values open something.
const KEYS: [&str; 3] = [
    names::TOKEN_ANNOTATION,
    names::NEXT_PATH_ANNOTATION,
    "caBundle",
];
/// The field of a strand's status with keys of rows, which are parts of records.
const SAMPLE: &str = "sample";

/// Where Postgres quotes a value of a row.
static VALUES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        r#"((?:invalid input [^:"]*: |out of range: |value |Token )\\?")[^"\\]*(\\?")"#,
        r"(Key \([^)]*\)=\()[^)]*(\))",
        r"(Failing row contains \().*(\))",
    ];
    patterns
        .iter()
        .filter_map(|pattern| Regex::new(pattern).ok())
        .collect()
});

/// A text of Supabase or of a log without the values of rows that Postgres quotes.
pub(crate) fn masked(text: &str) -> String {
    let mask = |text: String, values: &Regex| {
        values
            .replace_all(&text, format!("${{1}}{LEFT_OUT}${{2}}"))
            .into_owned()
    };
    VALUES.iter().fold(text.to_owned(), mask)
}

/// An object without what does not belong into a report.
pub(crate) fn redacted(mut object: Value) -> Value {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.remove("managedFields");
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            leave_out_annotations(annotations);
        }
    }
    walk(&mut object);
    object
}

/// Annotations of others may hold anything.
fn leave_out_annotations(annotations: &mut Map<String, Value>) {
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    for (name, value) in annotations {
        if !name.contains(names::GROUP) && !name.contains("kubernetes.io/") {
            *value = LEFT_OUT.into();
        }
    }
}

fn walk(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in KEYS.into_iter().chain([SAMPLE]) {
                if let Some(value) = fields.get_mut(name) {
                    *value = LEFT_OUT.into();
                }
            }
            leave_out_path(fields);
            for name in ["containers", "initContainers", "ephemeralContainers"] {
                if let Some(Value::Array(containers)) = fields.get_mut(name) {
                    containers.iter_mut().for_each(leave_out_settings);
                }
            }
            fields.values_mut().for_each(walk);
        }
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::String(text) => *text = masked(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The path by which API servers call the operator: knowing it is being one of them.
fn leave_out_path(fields: &mut Map<String, Value>) {
    let service = fields
        .get_mut("clientConfig")
        .and_then(|client| client.get_mut("service"));
    if let Some(path) = service.and_then(|service| service.get_mut("path")) {
        *path = LEFT_OUT.into();
    }
}

/// What the author of a container gave it.
fn leave_out_settings(container: &mut Value) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    let name = container
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if OURS.contains(&name) {
        return;
    }
    for field in [
        "command",
        "args",
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ] {
        container.remove(field);
    }
    let variables = container.get_mut("env").and_then(Value::as_array_mut);
    for variable in variables.into_iter().flatten() {
        if let Some(value) = variable.get_mut("value") {
            *value = LEFT_OUT.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_rows_are_left_out_and_names_stay() {
        for (said, kept) in [
            (
                r#"invalid input syntax for type bigint: "s3cret""#,
                r#"invalid input syntax for type bigint: "(left out)""#,
            ),
            (
                r#"{"message":"invalid input syntax for type json: \"s3cret\"","seq":7}"#,
                r#"{"message":"invalid input syntax for type json: \"(left out)\"","seq":7}"#,
            ),
            (
                r#"value "s3cret" is out of range for type integer"#,
                r#"value "(left out)" is out of range for type integer"#,
            ),
            (
                "Key (build_id)=(s3cret) already exists.",
                "Key (build_id)=((left out)) already exists.",
            ),
            (
                "Failing row contains (1, s3cret, null).",
                "Failing row contains ((left out)).",
            ),
            (
                r#"violates check constraint "builds_status""#,
                r#"violates check constraint "builds_status""#,
            ),
        ] {
            assert_eq!(masked(said), kept);
        }
    }

    #[test]
    fn nothing_that_an_author_gave_a_pod_is_in_a_report() {
        let pod = json!({
            "metadata": {"name": "agent", "managedFields": [], "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "s3cret", "mine": "s3cret",
                names::TOKEN_ANNOTATION: "s3cret", names::STRAND_ANNOTATION: "a1"}},
            "spec": {
                "containers": [{"name": "app", "image": "app:1", "args": ["s3cret"], "command": ["s3cret"],
                    "env": [{"name": "TOKEN", "value": "s3cret"}], "readinessProbe": {"exec": {"command": ["s3cret"]}}}],
                "initContainers": [{"name": "boboyka-sidecar", "env": [{"name": "BOBOYKA_STRAND", "value": "a1"}]}],
            },
        });
        let text = redacted(pod).to_string();
        assert!(!text.contains("s3cret"), "{text}");
        for kept in ["app:1", "TOKEN", "BOBOYKA_STRAND", "\"a1\""] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn keys_of_rows_are_in_no_report() {
        let strand = json!({"status": {"foreignWrites": {"tables": [{"table": "builds", "rows": 1, "sample": ["build_id=s3cret"]}]}}});
        assert!(!redacted(strand).to_string().contains("s3cret"));
    }

    #[test]
    fn the_path_of_the_webhook_is_in_no_report() {
        let hook = json!({
            "metadata": {"annotations": {names::NEXT_PATH_ANNOTATION: "s3cret"}},
            "webhooks": [{"clientConfig": {"caBundle": "s3cret", "service": {"name": "n", "path": "s3cret"}}}],
        });
        assert!(!redacted(hook).to_string().contains("s3cret"));
    }
}
