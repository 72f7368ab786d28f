//! The contract against the router that it describes, and against the committed document.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use boboyka_strand::RecordType;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Running;
use crate::api::route::Described;
use crate::api::{contract, listed};

fn document() -> Value {
    serde_json::from_str(&contract()).unwrap()
}

/// A request to a route, its parameters filled with `x`.
fn request(method: &Method, path: &str) -> Request<Body> {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part });
    let path = parts.collect::<Vec<_>>().join("/");
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap()
}

/// A status, and the body where the answer is an error.
async fn answer(running: &Running, method: &Method, path: &str) -> (StatusCode, Value) {
    let router = running.router.clone();
    let answer = router.oneshot(request(method, path)).await.unwrap();
    let status = answer.status();
    if status.is_success() {
        return (status, Value::Null);
    }
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn the_committed_document_is_what_the_source_makes() {
    let committed = include_str!("../../../../docs/openapi.json");
    let is_same = committed == contract();
    assert!(is_same, "docs/openapi.json is old: run `make generate`");
}

#[tokio::test]
async fn every_path_is_a_route_and_a_route_takes_no_other_method() {
    let running = Running::start(false);
    let document = document();
    let mut operations = 0;
    for (path, described) in document["paths"].as_object().unwrap() {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            let name = method.as_str().to_lowercase();
            let (status, error) = answer(&running, &method, path).await;
            let is_there = described.get(&name).is_some();
            operations += usize::from(is_there);
            let is_refused = status == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(is_there, !is_refused, "{method} {path}: {status} {error}");
            let message = error["message"].as_str().unwrap_or_default();
            assert!(
                !message.starts_with("there is nothing at"),
                "{method} {path}: {error}"
            );
        }
    }
    assert_eq!(operations, listed(Vec::<Described>::new()).len());
}

/// The router's own text names each of its paths in quotes; nothing else of it tells them.
#[tokio::test]
async fn every_route_of_the_router_is_a_path() {
    let running = Running::start(false);
    let text = format!("{:?}", running.router);
    let known: BTreeSet<_> = listed(Vec::<Described>::new())
        .iter()
        .map(|route| route.path)
        .collect();
    let quoted = text.split('"').filter(|part| part.starts_with('/'));
    // Paths that axum adds for its fallback begin with a name of its own.
    let routed: BTreeSet<_> = quoted
        .filter(|path| !path.contains("__private__axum"))
        .collect();
    assert_eq!(routed, known);
}

#[tokio::test]
async fn every_answer_has_a_status_of_its_operation() {
    let running = Running::start(false);
    let document = document();
    for (path, described) in document["paths"].as_object().unwrap() {
        for (name, operation) in described.as_object().unwrap() {
            let method = Method::from_bytes(name.to_uppercase().as_bytes()).unwrap();
            let (status, error) = answer(&running, &method, path).await;
            let known = operation["responses"].get(status.as_str());
            assert!(known.is_some(), "{method} {path}: {status} {error}");
        }
    }
}

#[test]
fn the_parameters_of_a_path_are_those_that_it_names() {
    for route in listed(Vec::<Described>::new()) {
        let mut named: Vec<_> = { route.path.split('/') }
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| name.trim_start_matches('*'))
            .collect();
        let parameters = route.operation.parameters.iter();
        let mut described: Vec<_> = parameters
            .filter(|parameter| parameter.place == "path")
            .map(|parameter| parameter.name)
            .collect();
        named.sort_unstable();
        described.sort_unstable();
        assert_eq!(named, described, "{}", route.path);
    }
}

#[test]
fn links_lead_to_operations_and_name_their_parameters() {
    let routes = listed(Vec::<Described>::new());
    let answers = routes.iter().flat_map(|route| &route.operation.answers);
    for link in answers.flat_map(|answer| &answer.links) {
        let mut found = routes.iter().map(|route| &route.operation);
        let found = found.find(|operation| operation.id == link.operation);
        let parameters = &found.unwrap().parameters;
        for (name, _) in link.parameters {
            assert!(parameters.iter().any(|it| it.name == *name), "{name}");
        }
    }
}

#[test]
fn the_four_types_have_the_columns_of_the_record_table() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let names = ["ProjectBuild", "BuildQueueItem", "AgentHealth", "AuditLog"];
    for (kind, name) in RecordType::MIRRORED.into_iter().zip(names) {
        let schema = &schemas[name];
        assert_eq!(schema["x-supabase-table"], json!(kind.table()));
        assert_eq!(schema["x-key"], json!(kind.key()));
        let properties = schema["properties"].as_object().unwrap();
        assert_eq!(properties.len(), kind.fields().len(), "{name}");
        for field in kind.fields() {
            assert!(properties.contains_key(field.name), "{name}.{}", field.name);
            let required = schema["required"].as_array().unwrap();
            assert_eq!(required.contains(&json!(field.name)), field.required);
        }
    }
}

#[tokio::test]
async fn the_document_is_served_and_asks_for_nothing() {
    let running = Running::start(false);
    let (status, served) = running.get("/openapi.json").await;
    assert_eq!(status, 200);
    assert_eq!(served, document());
    assert_eq!(served["openapi"], "3.1.1");
}
