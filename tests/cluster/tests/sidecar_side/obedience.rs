//! What the integration says is obeyed.

use std::time::{Duration, Instant};

use boboyka_crds::{BoboykaIntegration, Phase};
use boboyka_tests::Supabase;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::stage::{LIMIT, POD_UID, Stage, health, mirrored, obeys, run, say, shown};

#[test]
fn an_edit_of_the_phase_is_obeyed_and_reported() {
    run(async {
        let mut spec = mirrored();
        // On a slow machine too a receipt tells that the row is there.
        spec["supabase"]["mirror"] = json!({"ackTimeout": "30s"});
        let (stage, supabase) = (Stage::new(spec).await, Supabase::start().await);
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        let folder = supabase.folder();
        let sidecar = stage
            .sidecar(&["--supabase-dir", folder.to_str().unwrap()])
            .await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;
        sidecar.ingest("agent_health", &health(0)).await;
        let receipt = sidecar.ingest("agent_health", &health(1)).await;
        assert_eq!(receipt["dual_write"]["ok"], true, "{receipt}");

        let transition = json!({"from": "DualWrite", "to": "MigrateInternals", "generation": 2});
        stage.edit_status(json!({ "transition": transition })).await;
        let drained = |report: &Value| report["boundary"]["drained"] == true;
        let (report, took) = stage.reported(&sidecar, drained).await;
        say(&format!("the boundary was reported after {took:?}"));
        assert_eq!(
            report["boundary"],
            json!({"generation": 2, "seq": receipt["seq"], "drained": true})
        );

        let begun = Instant::now();
        stage
            .edit_status(
                json!({"phase": "MigrateInternals", "phaseGeneration": 2, "transition": null}),
            )
            .await;
        shown(&sidecar, |status| {
            status["integration_phase"]
                .as_str()
                .unwrap()
                .starts_with("Phase 2")
        })
        .await;
        let obeyed = begun.elapsed();
        let (report, _) = stage
            .reported(&sidecar, obeys(Phase::MigrateInternals, 2))
            .await;
        let reported = begun.elapsed();
        say(&format!(
            "obeyed after {obeyed:?}, reported after {reported:?}"
        ));
        assert_eq!(report["ready"], true);
        stage
            .reported(&sidecar, |report| report.get("boundary").is_none())
            .await;

        let receipt = sidecar.ingest("agent_health", &health(2)).await;
        assert_eq!(receipt["dual_write"]["enabled"], false, "{receipt}");
        let records = receipt["seq"].clone();
        let is_reported = |report: &Value| report["records"] == records;
        stage.reported(&sidecar, is_reported).await;
        assert_eq!(supabase.rows("agent_health").len(), 2);

        // Back: what was not mirrored meanwhile is.
        stage.put_in_force(Phase::DualWrite, 3).await;
        let caught_up =
            |report: &Value| obeys(Phase::DualWrite, 3)(report) && report["backlog"] == 0;
        stage.reported(&sidecar, caught_up).await;
        let begun = Instant::now();
        while supabase.rows("agent_health").len() < 3 {
            assert!(begun.elapsed() < LIMIT, "{}", sidecar.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn a_phase_that_this_version_does_not_know_leaves_the_one_that_it_obeys() {
    run(async {
        let stage = Stage::new(json!({})).await;
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::MigrateInternals, 4).await;
        let sidecar = stage.sidecar(&[]).await;
        stage
            .reported(&sidecar, obeys(Phase::MigrateInternals, 4))
            .await;

        let crds = Api::<CustomResourceDefinition>::all(stage.cluster.client());
        let name = "boboykaintegrations.boboyka.sapixdb.com";
        let mut newer = serde_json::to_value(crds.get(name).await.unwrap()).unwrap();
        let schema = &mut newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let status = &mut schema["properties"]["status"];
        status["properties"]["phase"] = json!({"type": "string", "nullable": true});
        status["x-kubernetes-preserve-unknown-fields"] = json!(true);
        let newer = serde_json::from_value(newer).unwrap();
        crds.replace(name, &PostParams::default(), &newer)
            .await
            .unwrap();
        // The API server takes a moment to know its new schema.
        let begun = Instant::now();
        let status =
            json!({"status": {"phase": "Celebrate", "phaseGeneration": 5, "cake": {"layers": 3}}});
        let api = stage.untyped::<BoboykaIntegration>();
        let patch = Patch::Merge(status);
        while let Err(error) = api
            .patch_status("boboyka", &PatchParams::default(), &patch)
            .await
        {
            assert!(begun.elapsed() < LIMIT, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let begun = Instant::now();
        while !sidecar.log().contains("Celebrate") {
            assert!(begun.elapsed() < LIMIT, "{}", sidecar.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sidecar.ingest("agent_health", &health(0)).await;
        assert!(obeys(Phase::MigrateInternals, 4)(&stage.report().await));

        stage.put_in_force(Phase::CutOver, 6).await;
        stage.reported(&sidecar, obeys(Phase::CutOver, 6)).await;

        // Deleting the integration leaves the phase too; a new one is obeyed.
        api.delete("boboyka", &DeleteParams::default())
            .await
            .unwrap();
        while !sidecar.log().contains("it was deleted") {
            assert!(begun.elapsed() < LIMIT, "{}", sidecar.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sidecar.ingest("agent_health", &health(1)).await;
        stage.create_integration(json!({})).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;
    });
}
