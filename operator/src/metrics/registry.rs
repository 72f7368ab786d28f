//! The operator's metrics. Names and units follow Prometheus' conventions. Labels have names of kinds and states only,
//! never a tenant's.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::labels::{Admitted, Reconciled, StrandState};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Admission {
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    verb: &'static str,
    resource: String,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Gate {
    gate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

/// All metrics of the operator.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reconciles: Family<Reconcile, Histogram>,
    queue: Family<Controller, Gauge>,
    admissions: Family<Admission, Counter>,
    admission_duration: Histogram,
    requests: Family<Request, Counter>,
    leader: Gauge,
    strands: Family<State, Gauge>,
    integrations: Family<Phase, Gauge>,
    closed_gates: Family<Gate, Gauge>,
    certificate_expiry: Gauge,
    dropped_spans: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("boboyka_operator"),
            reconciles: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 15))
            }),
            queue: Family::default(),
            admissions: Family::default(),
            admission_duration: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            requests: Family::default(),
            leader: Gauge::default(),
            strands: Family::default(),
            integrations: Family::default(),
            closed_gates: Family::default(),
            certificate_expiry: Gauge::default(),
            dropped_spans: Counter::default(),
        };
        metrics.register();
        metrics.begin_series();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_with_unit(
            "reconcile_duration",
            "Duration of a reconciliation, by controller and result",
            Unit::Seconds,
            self.reconciles.clone(),
        );
        registry.register(
            "queue_objects",
            "Objects that wait to be reconciled, by controller",
            self.queue.clone(),
        );
        registry.register(
            "admissions",
            "Admission reviews by decision",
            self.admissions.clone(),
        );
        registry.register_with_unit(
            "admission_duration",
            "Time from the head of an admission request to its answer",
            Unit::Seconds,
            self.admission_duration.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API server by verb, resource and code; code 0 without an answer",
            self.requests.clone(),
        );
        registry.register(
            "leader",
            "1 while this replica holds the Lease",
            self.leader.clone(),
        );
        registry.register("strands", "Strands by state", self.strands.clone());
        registry.register(
            "integrations",
            "Integrations by phase in force",
            self.integrations.clone(),
        );
        registry.register(
            "closed_gates",
            "Integrations whose next step waits for this gate",
            self.closed_gates.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the serving certificate expires, in seconds since 1970",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
        registry.register(
            "trace_dropped_spans",
            "Spans that were dropped because the collector of traces was too slow or did not take them",
            self.dropped_spans.clone(),
        );
    }

    /// Lets series begin at 0: Prometheus sees no increase of a series that begins at 1.
    fn begin_series(&self) {
        for decision in Admitted::ALL {
            drop(self.admissions.get_or_create(&Admission { decision }));
        }
        let controller = "integration";
        for result in Reconciled::ALL {
            let labels = Reconcile { controller, result };
            drop(self.reconciles.get_or_create(&labels));
        }
        for state in StrandState::ALL {
            drop(self.strands.get_or_create(&State { state }));
        }
    }

    /// Counts a reconciliation.
    pub(crate) fn reconciled(&self, controller: &'static str, result: Reconciled, took: Duration) {
        let result = result.as_str();
        let labels = Reconcile { controller, result };
        self.reconciles
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Sets how many objects wait to be reconciled.
    pub(crate) fn set_queue(&self, controller: &'static str, objects: usize) {
        self.queue
            .get_or_create(&Controller { controller })
            .set(signed(objects));
    }

    /// Counts an admission review.
    pub(crate) fn admitted(&self, decision: Admitted, took: Duration) {
        let decision = decision.as_str();
        self.admissions.get_or_create(&Admission { decision }).inc();
        self.admission_duration.observe(took.as_secs_f64());
    }

    /// Sets whether this replica leads.
    pub(crate) fn set_leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// Sets how many strands are in a state.
    pub(crate) fn set_strands(&self, state: StrandState, strands: usize) {
        let state = state.as_str();
        self.strands
            .get_or_create(&State { state })
            .set(signed(strands));
    }

    /// Sets how many integrations are in a phase.
    pub(crate) fn set_integrations(&self, phase: &'static str, integrations: usize) {
        self.integrations
            .get_or_create(&Phase { phase })
            .set(signed(integrations));
    }

    /// Sets how many integrations wait for a gate.
    pub(crate) fn set_closed_gates(&self, gate: &'static str, integrations: usize) {
        self.closed_gates
            .get_or_create(&Gate { gate })
            .set(signed(integrations));
    }

    /// Sets when the certificate that is served expires, in seconds since 1970.
    pub(crate) fn set_certificate_expiry(&self, seconds: i64) {
        self.certificate_expiry.set(seconds);
    }

    /// What counts spans that were dropped.
    pub(crate) fn dropped_spans(&self) -> Counter {
        self.dropped_spans.clone()
    }

    /// Counts a request to the API server.
    pub(super) fn requested(&self, verb: &'static str, resource: String, code: u16) {
        let code = code.to_string();
        self.requests
            .get_or_create(&Request {
                verb,
                resource,
                code,
            })
            .inc();
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// When a metric can't be written.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_base_units_and_say_what_was_counted() {
        let metrics = Metrics::default();
        metrics.reconciled("integration", Reconciled::Ok, Duration::from_millis(3));
        metrics.admitted(Admitted::Injected, Duration::from_millis(1));
        metrics.requested("get", "pods".into(), 200);
        metrics.set_leader(true);
        metrics.set_queue("integration", 2);
        metrics.set_strands(StrandState::Held, 3);
        metrics.set_integrations("DualWrite", 1);
        metrics.set_certificate_expiry(7);
        let text = metrics.text().unwrap();
        for line in [
            "boboyka_operator_reconcile_duration_seconds_count{controller=\"integration\",result=\"ok\"} 1",
            "boboyka_operator_admissions_total{decision=\"injected\"} 1",
            "boboyka_operator_admission_duration_seconds_count 1",
            "boboyka_operator_api_requests_total{verb=\"get\",resource=\"pods\",code=\"200\"} 1",
            "boboyka_operator_leader 1",
            "boboyka_operator_queue_objects{controller=\"integration\"} 2",
            "boboyka_operator_strands{state=\"held\"} 3",
            "boboyka_operator_integrations{phase=\"DualWrite\"} 1",
            "boboyka_operator_certificate_expiry_timestamp_seconds 7",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_counter_is_there_before_it_counts() {
        let text = Metrics::default().text().unwrap();
        for line in [
            "boboyka_operator_admissions_total{decision=\"refused\"} 0",
            "boboyka_operator_reconcile_duration_seconds_count{controller=\"integration\",result=\"error\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    /// The matchers of the operator's metrics in the chart's alerts, each as label and value.
    fn matchers(alerts: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for of_metric in alerts.split("boboyka_operator_").skip(1) {
            let name = of_metric.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let Some(list) = name.and_then(|end| of_metric[end..].strip_prefix('{')) else {
                continue;
            };
            let list = &list[..list.find("\"}").expect("a matcher ends with a quote")];
            for matcher in list.split("\",") {
                let (label, value) = matcher.split_once('"').expect("a matcher has a value");
                let label = label.trim_matches([' ', '=', '!', '~']);
                for value in value.split('|') {
                    found.push((label.to_owned(), value.to_owned()));
                }
            }
        }
        found
    }

    #[test]
    fn every_alert_matches_on_values_that_the_operator_emits() {
        let root = env!("CARGO_MANIFEST_DIR");
        let path = format!("{root}/../charts/boboyka-operator/templates/alerts.yaml");
        let alerts = std::fs::read_to_string(path).unwrap();
        let matchers = matchers(&alerts);
        assert!(matchers.len() >= 4, "{matchers:?}");
        for (label, value) in matchers {
            let known: &[&str] = match label.as_str() {
                "result" => Reconciled::ALL,
                "decision" => Admitted::ALL,
                "state" => StrandState::ALL,
                "phase" => &["DualWrite", "MigrateInternals", "CutOver"],
                "controller" => &["integration"],
                // Prometheus sets it.
                "namespace" => continue,
                other => panic!("the operator's metrics have no label {other}"),
            };
            assert!(known.contains(&&*value), "{label} is never {value}");
        }
    }

    #[test]
    fn a_matcher_is_read_with_all_its_values() {
        let alerts = "sum(boboyka_operator_a_total{x=\"1\",y!~\"2|3\"}[1m]) / boboyka_operator_b";
        let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        assert_eq!(
            matchers(alerts),
            [pair("x", "1"), pair("y", "2"), pair("y", "3")]
        );
    }
}
