//! Traces of reconciliations, at a collector that decodes them with OpenTelemetry's own types.

use boboyka_cluster::wait_for;
use boboyka_crds::names;
use boboyka_tests::Collector;
use boboyka_tests::process::free_address;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::installed::{Installed, LIMIT, labelled};
use super::reconcile::condition;
use crate::shared::run;

#[test]
fn a_look_at_an_integration_is_a_span_and_new_sidecars_send_to_the_same_collector() {
    run(async {
        let collector = Collector::start().await;
        let installed = Installed::new().await;
        let endpoint = format!("--otlp-endpoint={}", collector.endpoint());
        let replica = installed.operated(&[&endpoint]).await;
        let spans = collector.wait_for("reconcile", 1).await;
        for (name, value) in [
            ("boboyka.kind", "BoboykaIntegration"),
            ("boboyka.integration", "boboyka"),
            ("k8s.namespace.name", installed.namespace.name()),
            ("boboyka.outcome", "ok"),
        ] {
            assert_eq!(
                spans[0].attribute(name).as_deref(),
                Some(value),
                "{spans:#?}"
            );
        }
        let name = spans[0].resource("service.name");
        assert_eq!(name.as_deref(), Some("boboyka-operator"));
        let pod = installed.namespace.create::<Pod>(labelled()).await.unwrap();
        let containers = pod.spec.unwrap().init_containers.unwrap_or_default();
        let sidecar = containers.iter().find(|one| one.name == names::CONTAINER);
        let variables = json!(sidecar.unwrap().env);
        let own = json!({"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": collector.endpoint()});
        assert!(variables.as_array().unwrap().contains(&own), "{variables}");
        assert_eq!(replica.counter("trace_dropped_spans_total").await, 0);
    });
}

#[test]
fn a_collector_that_is_not_there_keeps_no_integration_from_its_status() {
    run(async {
        let installed = Installed::new().await;
        let endpoint = format!("--otlp-endpoint=http://{}", free_address());
        let replica = installed.operated(&[&endpoint]).await;
        condition(&installed, "boboyka", "ChainIntact", "True/AsExpected").await;
        wait_for("dropped spans", LIMIT, || async {
            Ok(replica.counter("trace_dropped_spans_total").await > 0)
        })
        .await
        .unwrap();
        let log = replica.log();
        assert_eq!(log.matches("could not send traces").count(), 1, "{log}");
        let (status, log) = tokio::task::spawn_blocking(move || replica.terminate())
            .await
            .unwrap();
        assert!(status.success(), "{log}");
    });
}
