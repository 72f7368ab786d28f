//! `kubectl explain` has a sentence for every field.

use serde_json::Value;

/// Fields whose types come from Kubernetes, with its descriptions.
const FOREIGN: [&str; 3] = ["conditions", "resources", "workloadSelector"];

#[test]
fn every_field_is_described_in_sentences() {
    for definition in boboyka_crds::definitions().unwrap() {
        let kind = definition.spec.names.kind.clone();
        let definition = serde_json::to_value(&definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut bad = Vec::new();
        collect_undescribed(&kind, schema, &mut bad);
        assert_eq!(bad, Vec::<String>::new());
    }
}

fn collect_undescribed(path: &str, schema: &Value, bad: &mut Vec<String>) {
    let description = schema["description"].as_str().unwrap_or_default();
    if !description.ends_with('.') || description.contains("Auto-generated") {
        bad.push(format!("{path}: {description:?}"));
    }
    let inner = schema.get("items").unwrap_or(schema);
    for (name, field) in inner["properties"].as_object().into_iter().flatten() {
        if !FOREIGN.contains(&name.as_str()) {
            collect_undescribed(&format!("{path}.{name}"), field, bad);
        }
    }
}
