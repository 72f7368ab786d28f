use std::future::pending;
use std::sync::Mutex;

use http::HeaderMap;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanData;
use tokio::time::timeout;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// What a collector does with what it gets.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Takes,
    Refuses,
    Hangs,
}

/// A collector in this process.
#[derive(Clone, Debug)]
struct Collector(Manner, Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        match self.0 {
            Manner::Takes => {
                self.1.lock().unwrap().extend(batch);
                Ok(())
            }
            Manner::Refuses => Err(OTelSdkError::InternalFailure("500".to_owned())),
            Manner::Hangs => pending().await,
        }
    }
}

struct Stage {
    traces: Traces,
    sending: Sending,
    dropped: Counter,
    got: Arc<Mutex<Vec<SpanData>>>,
}

impl Stage {
    fn new(manner: Manner, ratio: f64) -> Self {
        let service = Service {
            name: "test",
            version: "0",
            attributes: Vec::new(),
        };
        let (got, dropped) = (Arc::default(), Counter::default());
        let collector = Collector(manner, Arc::clone(&got));
        let url = "http://collector".to_owned();
        let (traces, sending) = Traces::begin(collector, url, ratio, &service, dropped.clone());
        Self {
            traces,
            sending,
            dropped,
            got,
        }
    }

    /// What the collector has got by the end.
    async fn got(self) -> Vec<SpanData> {
        self.sending.end().await;
        self.got.lock().unwrap().clone()
    }
}

fn named(span: &TraceSpan) -> Traceparent {
    span.0.span().span_context().into()
}

fn parent(flags: &str) -> Option<Parent> {
    let mut headers = HeaderMap::new();
    let text = format!("00-{TRACE}-{SPAN}-{flags}");
    headers.insert("traceparent", text.parse().unwrap());
    headers.insert("tracestate", "vendor=some".parse().unwrap());
    Parent::of(&headers)
}

#[tokio::test(start_paused = true)]
async fn a_span_is_of_the_callers_trace_and_its_steps_are_below_it() {
    let stage = Stage::new(Manner::Takes, 0.0);
    let span = stage.traces.open("request", Kind::Server, parent("01"));
    span.set("boboyka.some", "thing");
    let steps = async {
        assert_eq!(stage.traces.current(), Some(named(&span)));
        drop(stage.traces.child("step"));
    };
    span.around(steps).await;
    assert_eq!(stage.traces.current(), None);
    assert!(stage.traces.child("step").is_none());
    let own = named(&span).to_string();
    drop(span);
    let got = stage.got().await;
    let [step, request] = &got[..] else {
        panic!("{got:?}");
    };
    assert_eq!(request.span_context.trace_id().to_string(), TRACE);
    assert_eq!(request.parent_span_id.to_string(), SPAN);
    assert_eq!(request.span_context.trace_state().header(), "vendor=some");
    assert_eq!(request.attributes[0].key.as_str(), "boboyka.some");
    let id = request.span_context.span_id();
    assert_eq!(own, format!("00-{TRACE}-{id}-01"));
    assert_eq!((&*step.name, step.parent_span_id), ("step", id));
}

#[tokio::test(start_paused = true)]
async fn the_callers_flag_decides_and_the_share_does_where_there_is_none() {
    for (ratio, given, kept) in [
        (0.0, Some("01"), true),
        (1.0, Some("00"), false),
        (1.0, None, true),
        (0.0, None, false),
    ] {
        let stage = Stage::new(Manner::Takes, ratio);
        let parent = given.and_then(parent);
        let span = stage.traces.open("request", Kind::Server, parent);
        assert!(
            named(&span)
                .to_string()
                .ends_with(if kept { "-01" } else { "-00" })
        );
        assert_eq!(span.is_recorded(), kept);
        drop(span);
        let found = !stage.got().await.is_empty();
        assert_eq!(found, kept, "{ratio} {given:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_many_traces_share_is_kept_once_one_of_them_points_at_it() {
    let stage = Stage::new(Manner::Takes, 0.0);
    let began = SystemTime::UNIX_EPOCH;
    let took = Duration::from_millis(5);
    let link = stage.traces.shared("commit", began, took, []);
    let span = stage.traces.open("request", Kind::Server, parent("01"));
    span.link(link);
    drop(span);
    let got = stage.got().await;
    let [commit, request] = &got[..] else {
        panic!("{got:?}");
    };
    assert_eq!((commit.start_time, commit.end_time), (began, began + took));
    assert_ne!(commit.span_context.trace_id().to_string(), TRACE);
    assert_eq!(request.links[0].span_context, commit.span_context);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_makes_nobody_wait_and_the_queue_does_not_grow() {
    let stage = Stage::new(Manner::Hangs, 1.0);
    for _ in 0..10_000 {
        drop(stage.traces.open("request", Kind::Server, None));
    }
    // What the queue has no room for; the task has not run yet.
    assert_eq!(stage.dropped.get(), 10_000 - 2_048);
    let end = timeout(Duration::from_secs(2), stage.sending.end());
    assert!(
        end.await.is_ok(),
        "the end waits for a collector that hangs"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_refuses_is_counted() {
    let stage = Stage::new(Manner::Refuses, 1.0);
    let dropped = stage.dropped.clone();
    for _ in 0..700 {
        drop(stage.traces.open("request", Kind::Server, None));
    }
    assert!(stage.got().await.is_empty());
    assert_eq!(dropped.get(), 700);
}
