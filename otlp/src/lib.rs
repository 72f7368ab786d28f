//! Traces for both programs, by OTLP over HTTP (<https://opentelemetry.io/docs/specs/otlp/>): the only crate that names
//! OpenTelemetry.
//!
//! [`Traces`] opens spans and never waits. A span that has ended goes into a queue of bounded length; a task takes it from there
//! and sends it. What finds no room, and what the collector does not take, is dropped and counted. Without an endpoint there is
//! neither queue nor task.

mod client;
mod options;
mod parent;
mod queue;
mod sending;
mod span;
mod traces;

pub use opentelemetry::Value;
pub use options::{
    CERTIFICATE_VARIABLE, ENDPOINT_VARIABLE, Endpoint, RATIO_VARIABLE, TraceOptions,
};
pub use parent::{Parent, Traceparent};
pub use sending::Sending;
pub use span::{SpanLink, TraceSpan};
pub use traces::{Kind, Service, Traces};
