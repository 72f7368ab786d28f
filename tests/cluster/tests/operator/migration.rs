//! `spec.migration` in a cluster: who asked, forced gates, a pause, the end, and a soak that outlives the operator.

use std::process::Command;

use boboyka_cluster::{Cluster, wait_for};
use boboyka_crds::{BoboykaIntegration, IntegrationStatus, Phase, Transition};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::agents::{Agents, LIMIT, NAME};
use crate::caller::all_events;
use crate::product::{breakable, cluster, kill_operator, operator_ready, run};

const SIGNATURE: &str = "boboyka.sapixdb.com/changed-by";

/// Runs kubectl as a user who may do anything; whether it succeeded, and what it printed.
fn kubectl_as(
    cluster: &Cluster,
    user: &str,
    agents: &Agents,
    arguments: &[&str],
) -> (bool, String) {
    let mut command = Command::new(cluster.bin().join("kubectl"));
    command.arg("--kubeconfig").arg(cluster.kubeconfig());
    command.args(["--as", user, "--as-group", "system:masters"]);
    command
        .args(["--namespace", agents.namespace.name()])
        .args(arguments);
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

/// Edits the specification as a user, with these flags too.
fn edit(
    cluster: &Cluster,
    user: &str,
    agents: &Agents,
    spec: &Value,
    flags: &[&str],
) -> (bool, String) {
    let patch = json!({ "spec": spec }).to_string();
    let patch = ["patch", "bbi", NAME, "--type", "merge", "--patch", &patch];
    kubectl_as(cluster, user, agents, &[&patch, flags].concat())
}

fn signature(integration: &BoboykaIntegration) -> Option<&str> {
    integration.annotations().get(SIGNATURE).map(String::as_str)
}

fn waits(integration: &BoboykaIntegration) -> Option<&Transition> {
    integration.status.as_ref()?.transition.as_ref()
}

async fn status(agents: &Agents, what: &str, wanted: impl Fn(&IntegrationStatus) -> bool) {
    let is_so = |it: &BoboykaIntegration| it.status.as_ref().is_some_and(&wanted);
    agents.wait_until(what, is_so).await;
}

/// Waits until the Events say this.
async fn is_told(agents: &Agents, text: &str) {
    let what = format!("an Event that says {text:?}");
    wait_for(&what, LIMIT, || async {
        Ok(agents.told().await.contains(text))
    })
    .await
    .unwrap();
}

/// The metadata of the strand's record of this event.
async fn record(agents: &Agents, pod: &str, event: &str, to: &str) -> Value {
    let found = || async {
        let events = all_events(&agents.namespace, pod).await;
        let mut records = events.into_iter().map(|it| it["data"].clone());
        records.find(|it| it["event"] == event && it["metadata"]["to"] == to)
    };
    wait_for("the strand to record it", LIMIT, || async {
        Ok(found().await.is_some())
    })
    .await
    .unwrap();
    found().await.unwrap()["metadata"].clone()
}

fn force(gates: &[&str], reason: &str) -> Value {
    json!({"gates": gates, "reason": reason})
}

const UNPROVEN: [&str; 3] = ["Drained", "Parity", "NoForeignWrites"];

#[test]
fn who_asked_stands_in_every_record_and_the_end_is_final() {
    run(async {
        let cluster = cluster().await;
        let mut agents = Agents::new(cluster, json!({"migration": {}})).await;
        agents.deploy("signs", 1, json!({})).await;
        let pod = agents.pod("signs").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        agents.supabase.stop_postgres();
        agents.post(&pod, "bld_unproven").await;
        a_pause_stands_and_nobody_signs_for_another(cluster, &agents).await;
        what_has_no_evidence_blocks(cluster, &agents).await;
        a_force_is_recorded(cluster, &agents, &pod).await;
        a_spent_force_forces_nothing(cluster, &agents).await;
        the_end(cluster, &agents, &pod).await;
        agents.supabase.start_postgres();
    });
}

async fn a_pause_stands_and_nobody_signs_for_another(cluster: &Cluster, agents: &Agents) {
    let asked = json!({"phase": "MigrateInternals", "migration": {"pause": true}});
    assert!(edit(cluster, "alice", agents, &asked, &[]).0);
    status(agents, "the step to be paused", |it| {
        it.transition.as_ref().is_some_and(|it| it.paused)
    })
    .await;
    is_told(
        agents,
        "MigrationPaused: MigrateInternals waits: spec.migration.pause is true",
    )
    .await;
    let integration = agents.integration().await;
    let signed = format!("{} alice", integration.metadata.generation.unwrap());
    assert_eq!(signature(&integration), Some(signed.as_str()));
    assert_eq!(waits(&integration).unwrap().by.as_deref(), Some("alice"));
    let forged = format!("{SIGNATURE}=2 mallory");
    kubectl_as(
        cluster,
        "mallory",
        agents,
        &["annotate", "--overwrite", "bbi", NAME, &forged],
    );
    assert_eq!(
        signature(&agents.integration().await),
        Some(signed.as_str())
    );
}

async fn what_has_no_evidence_blocks(cluster: &Cluster, agents: &Agents) {
    assert!(
        edit(
            cluster,
            "alice",
            agents,
            &json!({"migration": {"pause": false}}),
            &[]
        )
        .0
    );
    for closed in UNPROVEN {
        let is_closed = |it: &IntegrationStatus| {
            let waits = it.transition.as_ref();
            waits.is_some_and(|it| !it.paused && it.closed().any(|gate| gate.name == closed))
        };
        status(agents, &format!("{closed} to block"), is_closed).await;
    }
    is_told(agents, "PhaseGateClosed: MigrateInternals waits: Drained").await;
}

async fn a_force_is_recorded(cluster: &Cluster, agents: &Agents, pod: &str) {
    let wrong = json!({"migration": {"force": force(&["Nope"], "x")}});
    let (done, told) = edit(cluster, "bob", agents, &wrong, &[]);
    assert!(
        !done && told.contains("spec.migration.force.gates"),
        "{told}"
    );
    let named = json!({"migration": {"force": force(&UNPROVEN, "moved by hand")}});
    assert!(edit(cluster, "bob", agents, &named, &[]).0);
    status(agents, "the phase", |it| {
        it.phase == Some(Phase::MigrateInternals)
    })
    .await;
    is_told(
        agents,
        "GatesForced: bob forced MigrateInternals (moved by hand) although",
    )
    .await;
    is_told(agents, "requested by alice").await;
    let told = record(agents, pod, "phase_changed", "MigrateInternals").await;
    assert_eq!(
        (&told["by"], &told["force"]["by"]),
        (&json!("alice"), &json!("bob"))
    );
    assert_eq!(told["force"]["reason"], "moved by hand");
    let change = agents
        .integration()
        .await
        .status
        .unwrap()
        .last_change
        .unwrap();
    assert_eq!(told["evidence"], change.evidence);
    assert_eq!(told["generation"], change.generation);
    assert!(told["boundary_seq"].is_u64());
}

/// Another reason forces the next step.
async fn a_spent_force_forces_nothing(cluster: &Cluster, agents: &Agents) {
    assert!(edit(cluster, "carol", agents, &json!({"phase": "CutOver"}), &[]).0);
    let is_closed = |it: &IntegrationStatus| {
        it.transition
            .as_ref()
            .is_some_and(|it| it.to == Phase::CutOver)
    };
    status(agents, "the spent force to force nothing", is_closed).await;
    let (done, told) = edit(
        cluster,
        "carol",
        agents,
        &json!({"migration": {"finalized": true}}),
        &[],
    );
    assert!(
        !done && told.contains("spec.migration.finalized: can be set once CutOver is in force"),
        "{told}"
    );
    let named = json!({"migration": {"force": force(&UNPROVEN, "to the cutover")}});
    assert!(edit(cluster, "carol", agents, &named, &[]).0);
    status(agents, "the cutover", |it| it.phase == Some(Phase::CutOver)).await;
}

async fn the_end(cluster: &Cluster, agents: &Agents, pod: &str) {
    let end = json!({"migration": {"finalized": true, "force": force(&UNPROVEN, "to the end")}});
    let (done, told) = edit(cluster, "dora", agents, &end, &["--dry-run=server"]);
    assert!(
        done && told.contains("no way back")
            && told.contains("records that Supabase does not have"),
        "{told}"
    );
    assert!(
        agents
            .integration()
            .await
            .status
            .unwrap()
            .finalized
            .is_none()
    );
    assert!(edit(cluster, "dora", agents, &end, &[]).0);
    status(agents, "the end", |it| it.finalized.is_some()).await;
    is_told(agents, "MigrationEnds: spec.migration.finalized is true").await;
    is_told(
        agents,
        "MigrationFinalized: the migration is final, requested by dora",
    )
    .await;
    let told = record(agents, pod, "migration_finalized", "CutOver").await;
    assert_eq!(told["by"], "dora");
    for (spec, field) in [
        (
            json!({"phase": "DualWrite"}),
            "spec.phase: must be CutOver while",
        ),
        (
            json!({"migration": {"finalized": false}}),
            "spec.migration.finalized: can't be taken back",
        ),
        (
            json!({"phase": "DualWrite", "migration": null}),
            "spec.migration.finalized: can't be taken back",
        ),
    ] {
        let (done, told) = edit(cluster, "dora", agents, &spec, &[]);
        assert!(!done && told.contains(field), "{told}");
    }
    // A new pod has no Secret, and the strand goes on.
    agents.namespace.delete_pod(pod, true).await.unwrap();
    let renewed = || async {
        let pods = agents.pods("signs", 1).await;
        Ok(pods
            .iter()
            .all(|it| it.name_any() != pod && !mounts_the_secret(it)))
    };
    wait_for("a pod without the Secret", LIMIT, renewed)
        .await
        .unwrap();
    let pod = agents.pod("signs").await;
    agents.post(&pod, "bld_after").await;
    assert_eq!(
        record(agents, &pod, "migration_finalized", "CutOver").await["by"],
        "dora"
    );
}

fn mounts_the_secret(pod: &Pod) -> bool {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.into_iter().any(|volume| volume.secret.is_some())
}

#[test]
fn a_soak_outlives_the_operator_and_counts_no_time_without_it() {
    run(async {
        let cluster = breakable().await;
        let agents = Agents::without_integration(&cluster).await;
        let storage = json!({"size": "100Mi"});
        agents
            .integrate(json!({"storage": storage, "migration": {"soak": "40s"}}))
            .await;
        agents.deploy("soaks", 1, json!({})).await;
        let pod = agents.pod("soaks").await;
        agents.post(&pod, "bld_soak").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        agents.edit(json!({"phase": "MigrateInternals"})).await;
        let soak = |it: &IntegrationStatus| it.transition.as_ref().and_then(|it| it.soak.clone());
        let mut before = None;
        let counts = |it: &BoboykaIntegration| {
            before = it.status.as_ref().and_then(soak);
            before.as_ref().is_some_and(|it| it.held_seconds >= 10)
        };
        agents.wait_until("the soak to count", counts).await;
        let before = before.unwrap();
        kill_operator(&cluster).await;
        operator_ready(&cluster).await;
        status(&agents, "the soak to go on", |it| {
            it.phase == Some(Phase::MigrateInternals)
                || soak(it).is_some_and(|it| it.held_seconds > before.held_seconds)
        })
        .await;
        let after = agents.integration().await.status.unwrap();
        if let Some(after) = soak(&after) {
            assert_eq!(after.since, before.since, "it was not begun anew");
        }
        status(&agents, "the step", |it| {
            it.phase == Some(Phase::MigrateInternals)
        })
        .await;
        let change = agents
            .integration()
            .await
            .status
            .unwrap()
            .last_change
            .unwrap();
        let soak = change
            .gates
            .iter()
            .find(|gate| gate.name == "Soak")
            .unwrap();
        assert!(soak.passed && soak.message.contains("of 40s"), "{soak:?}");
        drop(agents);
        cluster.give_back();
    });
}
