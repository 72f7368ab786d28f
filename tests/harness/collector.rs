//! A collector of traces: takes OTLP over HTTP and decodes it with the types that OpenTelemetry publishes, not with ours.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::process::{GUARD, wait_until};

/// A collector of traces. It ends with the test's runtime.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    state: Arc<Mutex<Got>>,
}

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Traced>,
    requests: Vec<HeaderMap>,
    /// What it answers instead of taking spans.
    refuses: Option<u16>,
}

/// A span with what is known of its program.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Of the program.
    pub resource: Vec<KeyValue>,
    /// The span.
    pub span: Span,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let state = Arc::<Mutex<Got>>::default();
        let app = Router::new().route("/v1/traces", post(take));
        let address = crate::serve(app.with_state(Arc::clone(&state))).await;
        Self { address, state }
    }

    /// Its endpoint, as programs are told it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers with this status from now on; with none, it takes spans again.
    pub fn refuse(&self, status: Option<u16>) {
        self.state.lock().unwrap().refuses = status;
    }

    /// The headers of every request so far.
    pub fn requests(&self) -> Vec<HeaderMap> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Every span that it has taken.
    pub fn spans(&self) -> Vec<Traced> {
        self.state.lock().unwrap().spans.clone()
    }

    /// Waits for as many spans of this name, and returns all of them.
    pub async fn wait_for(&self, name: &str, count: usize) -> Vec<Traced> {
        let of_name = || {
            let mut spans = self.spans();
            spans.retain(|one| one.span.name == name);
            spans
        };
        let told = || format!("{count} spans {name} did not come: {:#?}", self.spans());
        wait_until(GUARD, || async { of_name().len() >= count }, told).await;
        of_name()
    }
}

impl Traced {
    /// An attribute of the span as text.
    pub fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.span.attributes, name)
    }

    /// An attribute of its program as text.
    pub fn resource(&self, name: &str) -> Option<String> {
        attribute(&self.resource, name)
    }
}

fn attribute(all: &[KeyValue], name: &str) -> Option<String> {
    let found = all.iter().find(|one| one.key == name)?;
    let value = found.value.clone()?.value?;
    if let Value::StringValue(text) = value {
        return Some(text);
    }
    let Value::IntValue(number) = value else {
        panic!("{name} is {value:?}");
    };
    Some(number.to_string())
}

async fn take(State(state): State<Arc<Mutex<Got>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut got = state.lock().unwrap();
    got.requests.push(headers);
    if let Some(status) = got.refuses {
        return StatusCode::from_u16(status).unwrap();
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_program in request.resource_spans {
        let resource = of_program.resource.unwrap_or_default().attributes;
        let spans = of_program.scope_spans.into_iter().flat_map(|it| it.spans);
        let resource = &resource;
        got.spans.extend(spans.map(|span| Traced {
            resource: resource.clone(),
            span,
        }));
    }
    StatusCode::OK
}
