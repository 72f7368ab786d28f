//! The handle through which spans are opened, and how everything is put together.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanKind, TraceContextExt as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, ShouldSample, SpanExporter};
use prometheus_client::metrics::counter::Counter;

use crate::client::exporter;
use crate::options::TraceOptions;
use crate::parent::{Parent, Traceparent};
use crate::queue::{Queue, queue};
use crate::sending::{Sender, Sending};
use crate::span::{SpanLink, TraceSpan};

/// The variable with headers, which the library reads.
const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The program that the spans are of.
#[derive(Clone, Debug)]
pub struct Service {
    /// `service.name`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say otherwise.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// More of it, by names of the semantic conventions.
    pub attributes: Vec<(&'static str, String)>,
}

/// What a span is to the one above it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It answers a request of another program.
    Server,
    /// It is a step inside of this one.
    Internal,
}

/// Opens spans; clones are the same.
#[derive(Clone, Debug)]
pub struct Traces(Arc<Tracers>);

#[derive(Debug)]
struct Tracers {
    /// Keeps what the caller's flag or the share says.
    head: SdkTracer,
    /// Keeps everything: what many traces share belongs to all of them.
    shared: SdkTracer,
}

impl Traces {
    /// Begins, if the options name an endpoint. What can't be sent is counted. What keeps it from beginning is logged, and
    /// the program goes on without traces. Call it within a runtime, after a TLS provider is installed.
    pub fn start(
        options: &TraceOptions,
        service: &Service,
        dropped: Counter,
    ) -> Option<(Self, Sending)> {
        if options.has_credentials() {
            tracing::error!(
                "there are no traces, because the URL of --otlp-endpoint has credentials or a query: write them into {HEADERS_VARIABLE}"
            );
        }
        let url = options.url()?;
        match exporter(&url, options.otlp_certificate.as_deref()) {
            Ok(exporter) => {
                tracing::info!(url, ratio = options.trace_ratio, "traces are sent to {url}");
                Some(Self::begin(
                    exporter,
                    url,
                    options.trace_ratio,
                    service,
                    dropped,
                ))
            }
            Err(error) => {
                let error = causes(&error);
                tracing::error!(
                    error,
                    url,
                    "there are no traces, because the client for {url} could not be made: {error}"
                );
                None
            }
        }
    }

    fn begin(
        mut exporter: impl SpanExporter + 'static,
        url: String,
        ratio: f64,
        service: &Service,
        dropped: Counter,
    ) -> (Self, Sending) {
        let resource = resource(service);
        exporter.set_resource(&resource);
        let (queue, waiting) = queue(dropped.clone());
        let share = Sampler::TraceIdRatioBased(ratio);
        let head = Sampler::ParentBased(Box::new(share));
        let tracers = Tracers {
            head: tracer(head, &queue, &resource),
            shared: tracer(Sampler::AlwaysOn, &queue, &resource),
        };
        let sender = Sender {
            exporter,
            url,
            waiting,
            dropped,
            trouble: None,
        };
        (Self(Arc::new(tracers)), sender.start())
    }

    /// Opens a span: of the caller's trace, or of a new one.
    pub fn open(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        parent: Option<Parent>,
    ) -> TraceSpan {
        let above = Context::new();
        let above = match parent {
            Some(Parent(span)) => above.with_remote_span_context(span),
            None => above,
        };
        self.below(&above, name.into(), kind)
    }

    /// Opens a span of the one that this work is done around, if there is one.
    pub fn child(&self, name: &'static str) -> Option<TraceSpan> {
        let above = Context::current();
        let is_traced = above.has_active_span();
        is_traced.then(|| self.below(&above, name.into(), Kind::Internal))
    }

    fn below(&self, above: &Context, name: Cow<'static, str>, kind: Kind) -> TraceSpan {
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Internal => SpanKind::Internal,
        };
        let span = SpanBuilder::from_name(name).with_kind(kind);
        let span = span.start_with_context(&self.0.head, above);
        TraceSpan(above.with_span(span))
    }

    /// Notes what is over, as a trace of its own that others point at.
    pub fn shared(
        &self,
        name: &'static str,
        began: SystemTime,
        took: Duration,
        attributes: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> SpanLink {
        let attributes = attributes.into_iter();
        let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
        let span = SpanBuilder::from_name(name)
            .with_start_time(began)
            .with_attributes(attributes);
        let mut span = span.start_with_context(&self.0.shared, &Context::new());
        span.end_with_timestamp(began + took);
        SpanLink(span.span_context().clone())
    }

    /// The span that this work is done around.
    pub fn current(&self) -> Option<Traceparent> {
        Context::map_current(|current| {
            let is_traced = current.has_active_span();
            is_traced.then(|| current.span().span_context().into())
        })
    }
}

fn tracer(
    sampler: impl Into<Box<dyn ShouldSample>>,
    queue: &Queue,
    resource: &Resource,
) -> SdkTracer {
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_span_processor(queue.clone())
        .with_resource(resource.clone());
    provider.build().tracer("boboyka")
}

/// What the environment says counts more than what the program says of itself.
fn resource(service: &Service) -> Resource {
    let own = [
        ("service.name", service.name),
        ("service.version", service.version),
    ];
    let own = own.map(|(name, value)| KeyValue::new(name, value));
    let more = service.attributes.iter();
    let more = more.map(|(name, value)| KeyValue::new(*name, value.clone()));
    let all = Resource::builder_empty()
        .with_attributes(own)
        .with_attributes(more)
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => all.with_service_name(name).build(),
        _ => all.build(),
    }
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let chain: Vec<_> = chain.map(ToString::to_string).collect();
    chain.join(": ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;
