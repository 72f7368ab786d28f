//! The caller's span, from the headers `traceparent` and `tracestate` (<https://www.w3.org/TR/trace-context/>). Pure. What is
//! malformed is ignored with the whole trace, as that document wants; a request never fails for it.

use std::fmt;
use std::str::FromStr as _;

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use serde::{Serialize, Serializer};

/// Length of a `traceparent` of version 00, and of what later versions begin with.
const LENGTH: usize = 55;

/// A span as a header `traceparent` names it, without what nobody knows yet. It is shown in the form of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

/// The span of the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent(pub(crate) SpanContext);

impl Parent {
    /// The caller's span, if the headers name one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let Traceparent { trace, span, flags } = Traceparent::of(headers)?;
        let state = state(headers);
        Some(Self(SpanContext::new(trace, span, flags, true, state)))
    }
}

impl Traceparent {
    /// The caller's span, if the headers name one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all("traceparent").iter();
        let (one, None) = (given.next()?, given.next()) else {
            return None;
        };
        let one = one.to_str().ok()?.trim_matches([' ', '\t']);
        Self::read(one)
    }

    fn read(text: &str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let [version, trace, span, flags] = [2, 32, 16, 2]
            .map(|length| fields.next().filter(|field| is_hexadecimal(field, length)));
        let is_whole = match version? {
            "ff" => false,
            "00" => more.is_empty(),
            _ => more.is_empty() || more.starts_with('-'),
        };
        let trace = TraceId::from_hex(trace?).ok()?;
        let span = SpanId::from_hex(span?).ok()?;
        let flags = TraceFlags::new(u8::from_str_radix(flags?, 16).ok()?) & TraceFlags::SAMPLED;
        if !is_whole || trace == TraceId::INVALID || span == SpanId::INVALID {
            return None;
        }
        Some(Self { trace, span, flags })
    }
}

impl From<&SpanContext> for Traceparent {
    fn from(span: &SpanContext) -> Self {
        Self {
            trace: span.trace_id(),
            span: span.span_id(),
            flags: span.trace_flags() & TraceFlags::SAMPLED,
        }
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl Serialize for Traceparent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Lists that come in several headers are one; one that is malformed is none.
fn state(headers: &HeaderMap) -> TraceState {
    let lists = headers.get_all("tracestate").iter();
    let lists: Result<Vec<_>, _> = lists.map(http::HeaderValue::to_str).collect();
    let read = lists.map(|lists| TraceState::from_str(&lists.join(",")));
    read.ok().and_then(Result::ok).unwrap_or_default()
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    let is_digit = |one: u8| matches!(one, b'0'..=b'9' | b'a'..=b'f');
    text.len() == length && text.bytes().all(is_digit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn of(headers: &[(&'static str, &str)]) -> Option<Parent> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Parent::of(&map)
    }

    fn parent(text: &str) -> Option<Parent> {
        of(&[("traceparent", text)])
    }

    #[test]
    fn a_well_formed_header_names_the_callers_span() {
        let Parent(sampled) = parent(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(sampled.trace_id().to_string(), TRACE);
        assert_eq!(sampled.span_id().to_string(), SPAN);
        assert!(sampled.is_sampled() && sampled.is_remote());
        // Flags that nobody knows yet say nothing.
        assert!(
            !parent(&format!("00-{TRACE}-{SPAN}-fe"))
                .unwrap()
                .0
                .is_sampled()
        );
        assert!(
            parent(&format!(" 00-{TRACE}-{SPAN}-03\t"))
                .unwrap()
                .0
                .is_sampled()
        );
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for text in ["cc-T-S-01", "cc-T-S-01-what the future", "01-T-S-00-"] {
            let text = text.replace('T', TRACE).replace('S', SPAN);
            assert!(parent(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_malformed_header_is_ignored() {
        let upper = TRACE.to_uppercase();
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for text in [
            "",
            "00",
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("00-{TRACE}-{SPAN}-01-"),
            &format!("00-{TRACE}-{SPAN}-01-more"),
            &format!("cc-{TRACE}-{SPAN}-01more"),
            &format!("00-{TRACE}-{SPAN}-1"),
            &format!("00-{TRACE}-{SPAN}-0G"),
            &format!("00-{upper}-{SPAN}-01"),
            &format!("00-{no_trace}-{SPAN}-01"),
            &format!("00-{TRACE}-{no_span}-01"),
            &format!("+0-{TRACE}-{SPAN}-01"),
            &format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            &format!("00-{TRACE}{SPAN}--01"),
            &format!("0-{TRACE}-{SPAN}-001"),
            &format!("00-{}-0{SPAN}-01", &TRACE[1..]),
            &format!("00_{TRACE}_{SPAN}_01"),
        ] {
            assert_eq!(parent(text), None, "{text}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(of(&[("traceparent", &good), ("traceparent", &good)]), None);
        assert_eq!(of(&[("tracestate", "a=b")]), None);
    }

    #[test]
    fn the_state_is_passed_along_and_dropped_where_it_is_malformed() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let state = |more: &[(&'static str, &str)]| {
            let headers = [&[("traceparent", good.as_str())], more].concat();
            of(&headers).unwrap().0.trace_state().header()
        };
        let two = [("tracestate", "one=1,two=2"), ("tracestate", "three=3")];
        assert_eq!(state(&two), "one=1,two=2,three=3");
        assert_eq!(state(&[]), "");
        assert_eq!(state(&[("tracestate", "no list")]), "");
    }
}
