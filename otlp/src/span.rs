//! A span that is open.

use std::borrow::Cow;

use opentelemetry::trace::{FutureExt as _, SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value};

/// A span. It ends when it is dropped.
#[derive(Debug)]
pub struct TraceSpan(pub(crate) Context);

/// What another span can point at.
#[derive(Clone, Debug)]
pub struct SpanLink(pub(crate) SpanContext);

impl TraceSpan {
    /// Whether anybody will see it: what is costly to say need not be said otherwise.
    pub fn is_recorded(&self) -> bool {
        self.0.span().span_context().is_sampled()
    }

    /// Says something of it, by a name of OpenTelemetry's semantic conventions or one that begins with `boboyka.`.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if self.is_recorded() {
            self.0.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Says that it failed.
    pub fn fail(&self, why: impl Into<Cow<'static, str>>) {
        self.0.span().set_status(Status::error(why));
    }

    /// Points at another span.
    pub fn link(&self, other: SpanLink) {
        self.0.span().add_link(other.0, Vec::new());
    }

    /// Does work below which [`crate::Traces::child`] opens spans of this one.
    pub async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        work.with_context(self.0.clone()).await
    }
}

impl Drop for TraceSpan {
    fn drop(&mut self) {
        self.0.span().end();
    }
}
