//! Traces of the requests that write records, if a collector is named: a span of the request, and below it one of the wait for
//! the commit and one of the wait for the mirror. A commit is shared by many requests, so it is a trace of its own that their
//! spans point at. Names are of OpenTelemetry's semantic conventions or begin with `boboyka.`; none tells of a payload or a key.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::Request;
use axum::http::HeaderMap;
use boboyka_mirror::Outcome;
use boboyka_otlp::{
    Kind, Parent, Sending, Service, SpanLink, TraceOptions, TraceSpan, Traceparent,
};
use boboyka_store::{Appended, Committed, KeyConflict, Store, WriteError};
use boboyka_strand::{RecordType, Seq};
use prometheus_client::metrics::counter::Counter;

use crate::config::Membership;

/// As many commits as the store keeps.
const COMMITS: usize = 64;

/// What opens spans; without a collector, nothing does.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    open: Option<Open>,
    dropped: Counter,
}

#[derive(Debug)]
struct Open {
    spans: boboyka_otlp::Traces,
    /// The spans of the latest commits that a request pointed at, by the last seq of each.
    commits: Mutex<VecDeque<(Seq, SpanLink)>>,
}

impl Traces {
    /// Begins, if the options name a collector.
    pub(crate) fn start(
        options: &TraceOptions,
        membership: Option<&Membership>,
        store: &Store,
    ) -> (Self, Option<Sending>) {
        let dropped = Counter::default();
        let service = service(membership, store);
        let started = boboyka_otlp::Traces::start(options, &service, dropped.clone());
        let (spans, sending) = started.unzip();
        if spans.is_some() {
            store.keep_commits();
        }
        let open = spans.map(|spans| Open {
            spans,
            commits: Mutex::default(),
        });
        (Self { open, dropped }, sending)
    }

    /// Whether a collector is named.
    pub(crate) fn is_on(&self) -> bool {
        self.open.is_some()
    }

    /// Spans that were dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// The span of a request.
    pub(crate) fn request(&self, route: &str, request: &Request) -> Option<TraceSpan> {
        let open = self.open.as_ref()?;
        let method = request.method();
        let parent = Parent::of(request.headers());
        let name = format!("{method} {route}");
        let span = open.spans.open(name, Kind::Server, parent);
        span.set("http.request.method", method.to_string());
        span.set("http.route", route.to_owned());
        span.set("url.scheme", "http");
        span.set("url.path", request.uri().path().to_owned());
        Some(span)
    }

    /// The span of a step of a request, if that has one.
    pub(crate) fn step(&self, name: &'static str) -> Option<TraceSpan> {
        self.open.as_ref()?.spans.child(name)
    }

    /// The trace that a request belongs to, as its receipt names it: by the sidecar's own span, or without a collector by
    /// the caller's.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<Traceparent> {
        match &self.open {
            Some(open) => open.spans.current(),
            None => Traceparent::of(headers),
        }
    }

    /// Says what an append came to, and points at its commit.
    pub(crate) fn appended(
        &self,
        step: &TraceSpan,
        store: &Store,
        answers: &Result<Vec<Result<Appended, KeyConflict>>, WriteError>,
    ) {
        let Ok(answers) = answers else {
            step.fail("the store took nothing");
            return;
        };
        let new = answers.iter().flatten().filter(|one| !one.replayed);
        let seqs = new.map(|one| one.seq);
        step.set("boboyka.records", integer(seqs.clone().count() as u64));
        let Some(last) = seqs.max() else { return };
        step.set("boboyka.seq", integer(last));
        if let Some(open) = self.open.as_ref().filter(|_| step.is_recorded())
            && let Some(commit) = store.commit_of(last)
        {
            step.link(open.commit(&commit));
        }
    }
}

impl Open {
    /// The span of a commit, made by the first request that points at it.
    fn commit(&self, commit: &Committed) -> SpanLink {
        let mut known = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, link)) = known.iter().find(|(last, _)| *last == commit.last) {
            return link.clone();
        }
        let told = [
            ("boboyka.records", commit.last - commit.first + 1),
            ("boboyka.first_seq", commit.first),
            ("boboyka.last_seq", commit.last),
        ];
        let told = told.map(|(name, value)| (name, integer(value).into()));
        let link = self.spans.shared("commit", commit.began, commit.took, told);
        if known.len() == COMMITS {
            known.pop_front();
        }
        known.push_back((commit.last, link.clone()));
        link
    }
}

/// Says what became of the copy of a record; not why, because a reason may quote Supabase.
pub(crate) fn mirrored(step: &TraceSpan, record_type: RecordType, outcome: &Outcome) {
    step.set("boboyka.record_type", record_type.name());
    let outcome = match outcome {
        Outcome::Disabled => "disabled",
        Outcome::Mirrored => "mirrored",
        Outcome::Queued { .. } => "queued",
        Outcome::DeadLettered { .. } => "dead_letter",
    };
    step.set("boboyka.mirror.outcome", outcome);
}

fn service(membership: Option<&Membership>, store: &Store) -> Service {
    let id = ("service.instance.id", store.strand_id().to_string());
    let place = membership.map(|own| {
        [
            ("k8s.namespace.name", own.namespace.clone()),
            ("k8s.pod.uid", own.pod_uid.clone()),
            ("boboyka.integration", own.integration.clone()),
            ("boboyka.strand", own.strand.clone()),
        ]
    });
    Service {
        name: "boboyka-sidecar",
        version: env!("CARGO_PKG_VERSION"),
        attributes: [id]
            .into_iter()
            .chain(place.into_iter().flatten())
            .collect(),
    }
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
