//! What users see with the rights that they have, and what a report and the panel show.

use std::process::Stdio;

use boboyka_cluster::wait_for;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::desk::Desk;
use crate::agents::{Agents, LIMIT};
use crate::product::{cluster, run};

#[test]
fn a_user_with_edit_sees_the_fleet_and_a_user_without_rights_is_told_which_are_missing() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        agents.deploy("agent", 1, json!({})).await;
        let pod = agents.pod("agent").await;
        agents.post(&pod, "bld_of_jane").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let binding = json!({
            "metadata": {"name": "jane"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
        });
        agents
            .namespace
            .create::<RoleBinding>(binding)
            .await
            .unwrap();
        let desk = Desk::new(cluster, &agents);
        wait_for("the rights to be there", LIMIT, || async {
            Ok(desk
                .run("kubectl boboyka status --as jane")
                .status
                .success())
        })
        .await
        .unwrap();
        jane_sees_the_fleet(&desk, &pod);
        nobody_is_told(&desk);
        report_has_no_secret(&desk, &agents);
        panel_leads_to_the_sidecar(&desk, &pod).await;
    });
}

fn jane_sees_the_fleet(desk: &Desk, pod: &str) {
    let status = desk.json(0, "kubectl boboyka status --as jane");
    assert_eq!(status["states"], json!({"Ready": 1}));
    assert_eq!(
        desk.json(0, "kubectl boboyka verify --as jane")["verdict"],
        "Intact"
    );
    assert_eq!(
        desk.json(0, &format!("kubectl boboyka why {pod} --as jane"))["verdict"],
        "nothing is wrong with it"
    );
    let records = desk.json(0, "kubectl boboyka events --data --as jane");
    assert_eq!(records["records"][0]["data"]["build_id"], "bld_of_jane");

    let checks = desk.json(0, "kubectl boboyka check --as jane")["checks"].clone();
    let of = |name: &str| {
        checks
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(of("webhook-answers")["outcome"], "passed");
    assert_eq!(of("policies")["outcome"], "skipped");
    assert!(
        of("policies")["message"]
            .as_str()
            .unwrap()
            .starts_with("you may not list validatingadmissionpolicies")
    );
}

/// Which rights are missing.
fn nobody_is_told(desk: &Desk) {
    let told = desk.complains(3, "kubectl boboyka status --as nobody");
    let missing = format!("in namespace {}: ask an administrator", desk.namespace);
    assert!(
        told.contains("you may not list boboyka") && told.contains(&missing),
        "{told}"
    );
    let viewer = "kubectl boboyka verify --as viewer";
    let told = desk.complains(3, viewer);
    assert!(
        told.contains("you may not list boboykastrands.boboyka.sapixdb.com"),
        "{told}"
    );
    let told = desk.complains(3, "kubectl boboyka phase --to MigrateInternals --as nobody");
    assert!(
        told.contains("you may not list boboykaintegrations"),
        "{told}"
    );
}

/// A report has neither the key of Supabase, nor a record, nor a pod's token, nor the webhook's path.
fn report_has_no_secret(desk: &Desk, agents: &Agents) {
    desk.ends(0, "kubectl boboyka report --file report.tar.gz");
    let files = desk.ends(0, "tar -tzf report.tar.gz");
    for part in [
        "status.txt",
        "check.txt",
        "versions.json",
        "events.txt",
        "boboyka-sidecar.log",
        "operator.log",
        "boboykastrands/",
    ] {
        assert!(files.contains(part), "{part}: {files}");
    }
    let all = desk.ends(0, "tar -xzOf report.tar.gz");
    assert!(
        all.contains("boboyka-supabase"),
        "the name of the Secret is no secret"
    );
    let key = agents.supabase.jwt_key();
    let token = desk.ends(
        0,
        "kubectl get pods -o jsonpath='{..metadata.annotations.boboyka\\.sapixdb\\.com/admission}'",
    );
    let hook = desk.ends(
        0,
        "kubectl get mutatingwebhookconfiguration boboyka-operator -o jsonpath='{..path}'",
    );
    for secret in [
        "bld_of_jane",
        key.rsplit('.').next().unwrap(),
        token.trim(),
        hook.trim(),
    ] {
        assert!(!secret.is_empty() && !all.contains(secret), "{secret}");
    }
}

async fn panel_leads_to_the_sidecar(desk: &Desk, pod: &str) {
    let mut command = tokio::process::Command::from(desk.command(&format!(
        "exec kubectl-boboyka panel {pod} --no-open -o json"
    )));
    let mut process = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let url = told["url"].as_str().unwrap();
    let page = desk.ends(0, &format!("curl -sSf -H 'accept: text/html' {url}"));
    assert!(page.contains("<html"), "{page}");
    process.kill().await.unwrap();
}
