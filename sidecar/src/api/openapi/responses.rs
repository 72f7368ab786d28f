//! Errors as responses, each combination of codes once.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::api::error::{ApiError, Code};

/// All responses that operations refer to: the codes by the name of the response.
#[derive(Default)]
pub(super) struct Responses(BTreeMap<String, Vec<Code>>);

impl Responses {
    /// References to the responses of some codes, by status.
    pub(super) fn errors(&mut self, codes: &[Code]) -> Map<String, Value> {
        let mut by_status: BTreeMap<u16, BTreeMap<&str, Code>> = BTreeMap::new();
        for code in codes {
            let (status, name, _) = code.parts();
            let codes = by_status.entry(status.as_u16()).or_default();
            codes.insert(name, *code);
        }
        let references = by_status.into_iter().map(|(status, codes)| {
            let names: Vec<_> = codes.keys().copied().collect();
            let name = names.join(".");
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            self.0.insert(name, codes.into_values().collect());
            (status.to_string(), reference)
        });
        references.collect()
    }

    /// The responses.
    pub(super) fn components(self, schemas: &mut SchemaGenerator) -> Map<String, Value> {
        let error = schemas.subschema_for::<ApiError>().to_value();
        let responses = self.0.into_iter();
        responses
            .map(|(name, codes)| (name, response(&codes, &error)))
            .collect()
    }
}

fn response(codes: &[Code], error: &Value) -> Value {
    let names: Vec<_> = codes.iter().map(|code| code.parts().1).collect();
    let words: Vec<_> = codes.iter().map(|code| code.parts().2).collect();
    json!({
        "description": words.join(", or "),
        "content": {"application/json": {
            "schema": {"allOf": [error, {"properties": {"code": {"enum": names}}}]},
        }},
    })
}
