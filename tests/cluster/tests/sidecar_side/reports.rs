//! What a sidecar reports, when, and what it never does.

use std::time::Instant;

use boboyka_crds::{BoboykaStrand, Phase};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, POD_UID, Stage, health, mirrored, obeys, run, say};

fn condition<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let conditions = report["conditions"].as_array().unwrap();
    conditions.iter().find(|one| one["type"] == kind).unwrap()
}

#[test]
fn a_report_says_how_the_strand_is_and_never_the_key() {
    run(async {
        let (stage, mut supabase) = (Stage::new(mirrored()).await, Supabase::start().await);
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        let folder = supabase.folder();
        let sidecar = stage
            .sidecar(&["--supabase-dir", folder.to_str().unwrap()])
            .await;
        let first = sidecar.ingest("agent_health", &health(0)).await;
        let second = sidecar
            .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
            .await;
        let (report, _) = stage
            .reported(&sidecar, |report| {
                report["records"] == 2 && report["backlog"] == 0
            })
            .await;
        assert_eq!(report["podUid"], POD_UID);
        assert_eq!(report["ready"], true);
        assert_eq!(
            report["head"],
            json!({"seq": 2, "hash": second["record_hash"]})
        );
        assert_eq!(report["recordsByType"]["audit_log"], 1);
        assert_eq!(report["chain"], json!({"intact": true}));
        assert_eq!(report["supabaseUrl"], supabase.url());
        assert_eq!(report["lanes"].as_array().unwrap().len(), 4);
        assert!(report["diskBytes"].as_i64().unwrap() > 0);
        assert_eq!(condition(&report, "SupabaseReachable")["status"], "True");
        assert_eq!(condition(&report, "CredentialsAccepted")["status"], "True");

        // The operator asks what has become of a block that it saw.
        stage
            .edit_strand(json!({"witnessed": {"seq": 1, "hash": first["record_hash"]}}))
            .await;
        stage
            .reported(&sidecar, |report| {
                report["witnessed"] == json!({"seq": 1, "hash": first["record_hash"]})
            })
            .await;
        tell_of_refusals(&stage, &sidecar, &mut supabase).await;

        let strand = stage
            .untyped::<BoboykaStrand>()
            .get("boboyka-0")
            .await
            .unwrap();
        let whole = serde_json::to_string(&strand).unwrap();
        for key in [supabase.jwt_key(), "sb_secret_that_is_wrong".to_owned()] {
            assert!(
                !whole.contains(&key) && !sidecar.log().contains(&key),
                "the report or the log has the key"
            );
        }
    });
}

/// A refused key and an outage are said at once; the times tell since when.
async fn tell_of_refusals(stage: &Stage, sidecar: &Sidecar, supabase: &mut Supabase) {
    let report = stage.report().await;
    let since = condition(&report, "SupabaseReachable")["lastTransitionTime"].clone();
    supabase.write_folder("sb_secret_that_is_wrong");
    sidecar.ingest("agent_health", &health(1)).await;
    let refused = |report: &Value| condition(report, "CredentialsAccepted")["status"] == "False";
    let (report, _) = stage.reported(sidecar, refused).await;
    assert_eq!(
        condition(&report, "SupabaseReachable")["lastTransitionTime"],
        since
    );
    supabase.write_folder(&supabase.jwt_key());
    stage.reported(sidecar, |report| !refused(report)).await;
    supabase.stop_postgres();
    sidecar.ingest("agent_health", &health(2)).await;
    let away = |report: &Value| condition(report, "SupabaseReachable")["status"] == "False";
    stage.reported(sidecar, away).await;
    supabase.start_postgres();
    stage.reported(sidecar, |report| !away(report)).await;
}

#[test]
fn only_the_holder_reports_and_it_says_good_bye() {
    run(async {
        let stage = Stage::new(json!({})).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        let mut sidecar = stage.sidecar(&[]).await;
        sidecar.ingest("agent_health", &health(0)).await;
        // What the definition fills in.
        let unreported = json!({"observedGeneration": -1, "ready": false, "records": 0, "backlog": 0, "lagMs": 0,
            "deadLetters": 0, "diskBytes": 0});
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(stage.report().await, unreported, "nobody holds it");
        stage.hold("another").await;
        tokio::time::sleep(PATIENCE).await;
        assert_eq!(stage.report().await, unreported, "another pod holds it");
        stage.hold(POD_UID).await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;
        // Of a strand that nobody mirrors there is nothing to say about Supabase.
        assert_eq!(stage.report().await.get("conditions"), None);

        sidecar.ingest("agent_health", &health(1)).await;
        let begun = Instant::now();
        assert!(sidecar.terminate());
        let took = begun.elapsed();
        say(&format!("ended after {took:?}"));
        let report = stage.report().await;
        assert_eq!(
            (&report["ready"], &report["head"]["seq"]),
            (&json!(false), &json!(2))
        );
    });
}

/// Whether kstatus, by which Flux and others wait, takes the newest specification for seen.
async fn has_seen_its_newest(stage: &Stage) -> bool {
    let strand = stage.untyped::<BoboykaStrand>().get("boboyka-0").await;
    let strand = strand.unwrap();
    let observed = &strand.data["status"]["observedGeneration"];
    observed.is_null() || observed.as_i64() == strand.metadata.generation
}

#[test]
fn a_strand_is_in_progress_until_its_sidecar_has_answered_the_newest_specification() {
    run(async {
        let stage = Stage::new(json!({})).await;
        assert!(!has_seen_its_newest(&stage).await, "nobody reported");
        stage.hold(POD_UID).await;
        let mut sidecar = stage.sidecar(&[]).await;
        let newest = |generation: i64| {
            let wanted = json!(generation);
            move |report: &Value| report["observedGeneration"] == wanted
        };
        stage.reported(&sidecar, newest(2)).await;
        assert!(has_seen_its_newest(&stage).await);
        // At once, and not with the next figures.
        let first = sidecar.ingest("agent_health", &health(0)).await;
        let block = json!({"seq": 1, "hash": first["record_hash"]});
        stage.edit_strand(json!({"witnessed": block})).await;
        stage.reported(&sidecar, newest(3)).await;
        assert!(sidecar.terminate());
        // The operator frees it, and nobody is left to answer that.
        stage.edit_strand(json!({"holder": null})).await;
        assert!(has_seen_its_newest(&stage).await);
        let report = stage.report().await;
        assert_eq!(report.get("observedGeneration"), None);
        assert_eq!(report["ready"], false);
    });
}
