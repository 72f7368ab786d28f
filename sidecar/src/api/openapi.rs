//! The contract: an `OpenAPI` document made of the list of routes and of the types on the wire. It is committed, and the
//! program serves the committed text, so that serving it makes nothing and wakes nothing.

mod responses;

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use self::responses::Responses;
use super::operation::{Answer, Content, Link, Operation, Parameter};
use super::route::Described;
use super::schema::{Collection, KeyedKind};

/// The committed document.
const COMMITTED: &str = include_str!("../../../docs/openapi.json");

/// The contract.
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], COMMITTED).into_response()
}

/// Makes the document anew.
pub(super) fn document(routes: &[Described]) -> String {
    let mut parts = Parts::new();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let path = paths.entry(route.path.replace("{*", "{")).or_default();
        let method = route.method.as_str().to_lowercase();
        path.insert(method, parts.operation(&route.operation));
    }
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Boboyka sidecar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Durable, tamper-evident records on localhost. docs/api.md and docs/sapixdb.md describe each call. \
                A Host or Origin header that does not name this machine gets 403.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://localhost:7475"}],
        "security": [{}, {"apiKey": []}],
        "paths": paths,
        "components": parts.components(),
    });
    document.sort_all_objects();
    indented(&document)
}

/// Indented by one, since the program carries the text.
fn indented(document: &Value) -> String {
    let mut text = Vec::new();
    let format = PrettyFormatter::with_indent(b" ");
    let mut serializer = Serializer::with_formatter(&mut text, format);
    // Writing to memory does not fail.
    let _ = document.serialize(&mut serializer);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// What operations refer to, as it is gathered.
struct Parts {
    /// Of what callers send.
    sent: SchemaGenerator,
    /// Of what the sidecar answers.
    answered: SchemaGenerator,
    responses: Responses,
}

impl Parts {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        let mut sent = settings().for_deserialize().into_generator();
        sent.subschema_for::<Collection>();
        sent.subschema_for::<KeyedKind>();
        Self {
            sent,
            answered: settings().for_serialize().into_generator(),
            responses: Responses::default(),
        }
    }

    fn operation(&mut self, operation: &Operation) -> Value {
        let parameters = operation.parameters.iter().map(parameter);
        let mut written = object(json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "parameters": parameters.collect::<Vec<_>>(),
            "responses": self.responses(operation),
        }));
        if !operation.description.is_empty() {
            written.insert("description".into(), operation.description.into());
        }
        if operation.is_open {
            written.insert("security".into(), json!([]));
        }
        if !operation.body.is_empty() {
            let content = contents(&mut self.sent, &operation.body);
            let body = json!({"required": true, "content": content});
            written.insert("requestBody".into(), body);
        }
        written.into()
    }

    fn responses(&mut self, operation: &Operation) -> Map<String, Value> {
        let mut responses = self.responses.errors(&operation.codes);
        for answer in &operation.answers {
            responses.insert(answer.status.to_string(), self.response(answer));
        }
        responses
    }

    fn response(&mut self, answer: &Answer) -> Value {
        let content = contents(&mut self.answered, &answer.content);
        let mut response = object(json!({"description": answer.description, "content": content}));
        if answer.may_be_replayed {
            let replayed = json!({"idempotency-replayed": {
                "description": "The same request was answered before, and nothing was appended.",
                "schema": {"const": "true"},
            }});
            response.insert("headers".into(), replayed);
        }
        if !answer.links.is_empty() {
            response.insert("links".into(), links(&answer.links).into());
        }
        response.into()
    }

    fn components(mut self) -> Value {
        let responses = self.responses.components(&mut self.answered);
        let mut schemas = self.answered.take_definitions(true);
        schemas.extend(self.sent.take_definitions(true));
        json!({
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {"apiKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "The key in the file of --api-key-file, if the sidecar was started with one.",
            }},
        })
    }
}

/// The members of an object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

fn links(links: &[Link]) -> Map<String, Value> {
    let links = links.iter().map(|link| {
        let parameters: Map<_, _> = { link.parameters.iter() }
            .map(|(name, from)| ((*name).to_owned(), (*from).into()))
            .collect();
        let written = json!({"operationId": link.operation, "parameters": parameters});
        (link.operation.to_owned(), written)
    });
    links.collect()
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "in": parameter.place,
        "name": parameter.name,
        "description": parameter.description,
        "required": parameter.is_required,
        "schema": parameter.schema,
    })
}

/// A body in each of its forms. A standard word for the schema of an item comes with `OpenAPI` 3.2.
fn contents(schemas: &mut SchemaGenerator, contents: &[Content]) -> Map<String, Value> {
    let content = contents.iter().map(|content| {
        let mut written = object(json!({"schema": (content.schema)(schemas)}));
        if let Some(item) = content.item {
            written.insert("x-item-schema".into(), item(schemas).to_value());
        }
        (content.media.to_owned(), written.into())
    });
    content.collect()
}
