//! Records that Supabase rejects, pods that are refused, and records as they come.

use std::process::Stdio;

use boboyka_cluster::wait_for;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::desk::Desk;
use crate::agents::{Agents, LABEL, LIMIT, pod_spec};
use crate::product::{cluster, run};

#[test]
fn dead_letters_are_listed_shown_and_sent_again_and_a_drain_waits_for_them_not() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::patient(cluster).await;
        agents.deploy("agent", 1, json!({})).await;
        let pod = agents.pod("agent").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        agents.post(&pod, "bld_good").await;
        agents
            .supabase
            .sql("alter table project_builds add constraint no_bad check (build_id <> 'bld_bad')");
        agents.post(&pod, "bld_bad").await;
        let desk = Desk::new(cluster, &agents);
        wait_for("the dead letter to be there", LIMIT, || async {
            Ok(desk.run("kubectl boboyka dead-letters").status.code() == Some(1))
        })
        .await
        .unwrap();
        let listed = desk.json(1, "kubectl boboyka dead-letters")["deadLetters"][0].clone();
        assert_eq!(
            (&listed["code"], &listed["record_type"]),
            (&json!("23514"), &json!("project_build"))
        );
        let (strand, seq) = (listed["strand"].as_str().unwrap(), &listed["seq"]);
        let shown = desk.json(
            1,
            &format!("kubectl boboyka dead-letters show {strand} {seq}"),
        );
        assert_eq!(shown["record"]["data"]["build_id"], "bld_bad");
        let told = desk.complains(3, &format!("kubectl boboyka dead-letters show {strand} 1"));
        assert!(
            told.contains("is not among the oldest hundred dead letters"),
            "{told}"
        );
        wait_for("the status to tell of it", LIMIT, || async {
            Ok(desk.run("kubectl boboyka status").status.code() == Some(1))
        })
        .await
        .unwrap();
        assert!(
            desk.ends(1, "kubectl boboyka status")
                .contains("next: kubectl boboyka dead-letters -n")
        );
        assert_eq!(
            desk.json(1, "kubectl boboyka dead-letters retry")["sent"]["dead_lettered"],
            1
        );
        agents
            .supabase
            .sql("alter table project_builds drop constraint no_bad");
        assert_eq!(
            desk.json(0, "kubectl boboyka dead-letters retry")["sent"]["mirrored"],
            1
        );
        agents.wait_for_row("bld_bad").await;
        assert!(
            desk.ends(0, "kubectl boboyka drain")
                .starts_with("drained: no record waits")
        );
        what_differs_is_sent_again(&desk, &agents).await;
        a_pod_that_is_refused_is_told(&desk, &agents).await;
        follow_tells_each_record_once(&desk, &agents, &pod).await;
    });
}

async fn what_differs_is_sent_again(desk: &Desk, agents: &Agents) {
    let compare = "kubectl boboyka repair --dry-run";
    assert!(
        desk.ends(0, compare)
            .contains("Supabase has what the strands say")
    );
    agents
        .supabase
        .sql("delete from project_builds where build_id = 'bld_good'");
    let lanes = desk.json(1, compare)["lanes"].clone();
    let of = |lane: &&Value| lane["record_type"] == "project_build";
    let builds = lanes.as_array().unwrap().iter().find(of).unwrap();
    assert_eq!(builds["parity"]["missing"], 1, "{builds}");
    assert_eq!(
        desk.json(0, "kubectl boboyka repair")["repaired"]["sent"],
        1
    );
    agents.wait_for_row("bld_good").await;
}

async fn a_pod_that_is_refused_is_told(desk: &Desk, agents: &Agents) {
    let deployment = json!({"metadata": {"name": "stray"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "stray"}},
        "template": {"metadata": {"labels": {"app": "stray", LABEL: "of-nobody"}}, "spec": pod_spec(&json!(["pause"]))},
    }});
    agents
        .namespace
        .create::<Deployment>(deployment)
        .await
        .unwrap();
    let question = "kubectl boboyka why deploy/stray";
    wait_for("the refusal to be told", LIMIT, || async {
        let printed = desk.run(question).stdout;
        Ok(String::from_utf8(printed)?.contains("there is no BoboykaIntegration of-nobody"))
    })
    .await
    .unwrap();
    assert!(desk.ends(1, question).contains("can't create its pods"));
}

/// Also when the pod is replaced meanwhile.
async fn follow_tells_each_record_once(desk: &Desk, agents: &Agents, pod: &str) {
    let mut command = tokio::process::Command::from(desk.command(
        "exec kubectl-boboyka events --follow --data --limit 0 --record-type project_build -o json",
    ));
    let mut process = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = lines.next_line().await.unwrap().unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        record["data"]["build_id"].as_str().unwrap().to_owned()
    };
    // The list is made at some moment after the start: posted again until one is told.
    let first = async {
        for number in 0.. {
            agents.post(pod, &format!("bld_begin_{number}")).await;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    let first = tokio::select! {
        told = next() => told,
        () = first => unreachable!("it posts for ever"),
    };
    assert!(first.starts_with("bld_begin_"), "{first}");
    agents.namespace.delete_pod(pod, true).await.unwrap();
    wait_for("another pod", LIMIT, || async {
        Ok(agents.pod("agent").await != pod)
    })
    .await
    .unwrap();
    let other = agents.pod("agent").await;
    agents.post(&other, "bld_other").await;
    let mut told = vec![first];
    while told.last().unwrap() != "bld_other" {
        told.push(next().await);
    }
    let mut once = told.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), told.len(), "{told:?}");
    process.kill().await.unwrap();
}
