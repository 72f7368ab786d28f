//! Whatever the API server does, records are taken.

use std::time::{Duration, Instant};

use boboyka_cluster::ControlPlane;
use boboyka_crds::{BoboykaStrand, Phase, definitions};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::stage::{LIMIT, POD_UID, Stage, health, install, obeys, run, say};

#[test]
fn records_are_taken_while_the_api_server_is_away_and_the_sidecar_catches_up() {
    run(async {
        let mut stage = Stage::new(json!({})).await;
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        let mut sidecar = stage.sidecar(&[]).await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;

        stage
            .cluster
            .kill_control_plane(ControlPlane::ApiServer)
            .unwrap();
        for n in 0..20 {
            sidecar.ingest("agent_health", &health(n)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // An end does not wait for the API server, and a start without it takes records as well.
        assert!(sidecar.terminate());
        sidecar.restart().await;
        sidecar.ingest("agent_health", &health(20)).await;

        stage
            .cluster
            .restart_control_plane(ControlPlane::ApiServer)
            .await
            .unwrap();
        let begun = Instant::now();
        stage.put_in_force(Phase::MigrateInternals, 2).await;
        let (report, _) = stage
            .reported(&sidecar, obeys(Phase::MigrateInternals, 2))
            .await;
        let took = begun.elapsed();
        say(&format!("caught up {took:?} after the API server was back"));
        // 21 and the record of the change.
        assert_eq!(report["records"], 22);
        // Not once for each try.
        let complaints = sidecar.log().matches("can't watch the integration").count();
        assert!(
            (1..8).contains(&complaints),
            "{complaints}:\n{}",
            sidecar.log()
        );
    });
}

#[test]
fn definitions_that_are_taken_away_and_put_back_end_nothing() {
    run(async {
        let stage = Stage::new(json!({})).await;
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        let sidecar = stage.sidecar(&[]).await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;

        let crds = Api::<CustomResourceDefinition>::all(stage.cluster.client());
        for definition in definitions().unwrap() {
            let name = definition.name_any();
            crds.delete(&name, &DeleteParams::default()).await.unwrap();
            let begun = Instant::now();
            while crds.get_opt(&name).await.unwrap().is_some() {
                assert!(begun.elapsed() < LIMIT, "{name} does not go away");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        let begun = Instant::now();
        while !sidecar.log().contains("can't report into the cluster") {
            assert!(begun.elapsed() < LIMIT, "{}", sidecar.log());
            let receipt = sidecar.ingest("agent_health", &health(0)).await;
            assert_eq!(receipt["record_type"], "agent_health");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        install(&stage.cluster).await;
        stage.create_integration(json!({})).await;
        stage.create_strand().await;
        let strands = stage.untyped::<BoboykaStrand>();
        let new = strands.get("boboyka-0").await.unwrap();
        // Of what nobody reports there is no more than what the definition fills in.
        assert_eq!(new.data["status"]["observedGeneration"], -1);
        assert_eq!(new.data["status"].get("reportedAt"), None);
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::CutOver, 3).await;
        stage.reported(&sidecar, obeys(Phase::CutOver, 3)).await;
    });
}
