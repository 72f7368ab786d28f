//! `fence` and `unfence` on real nodes: who fenced a strand, what waits for it, and what comes back.

use boboyka_cluster::wait_for;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::desk::Desk;
use crate::agents::{Agents, LIMIT, template};
use crate::product::{cluster, run};

#[test]
fn a_strand_is_fenced_by_somebody_for_a_reason_and_its_pod_comes_back_with_its_records() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        let set = json!({"metadata": {"name": "db"}, "spec": {
            "replicas": 1, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template("db"),
        }});
        agents.namespace.create::<StatefulSet>(set).await.unwrap();
        agents.pods("db", 1).await;
        agents.post("db-0", "bld_before").await;
        let strand = agents.strands().await.remove(0).name_any();
        let desk = Desk::new(cluster, &agents);
        let (fence, unfence) = (
            format!("kubectl boboyka fence {strand} --reason 'the disk is suspect'"),
            format!("kubectl boboyka unfence {strand}"),
        );
        only_who_may(&desk, &agents, &fence).await;

        let answer = desk.json(0, &format!("{fence} --as fay"));
        let (by, pod, changed) = (&answer["fenced"]["by"], &answer["pod"], &answer["changed"]);
        assert_eq!(
            [by, pod, changed],
            [&json!("fay"), &json!("db-0"), &json!(true)],
            "{answer}"
        );
        assert!(answer["fenced"]["at"].is_string(), "{answer}");
        let fenced = "fenced by fay (the disk is suspect)";
        let worst = desk.json(0, "kubectl boboyka status")["worst"][0].clone();
        assert_eq!(worst["state"], "Fenced");
        assert_eq!(worst["why"], format!("{fenced}; still held by pod db-0"));
        assert!(desk.ends(0, "kubectl boboyka why db-0").contains(fenced));
        wait_for("the operator to warn of it", LIMIT, || async {
            let warned = desk.ends(0, "kubectl get bbi -o jsonpath='{..conditions}'");
            Ok(warned.contains("StillHeld") && warned.contains(fenced))
        })
        .await
        .unwrap();

        agents.namespace.delete_pod("db-0", true).await.unwrap();
        wait_for("the next pod to be refused", LIMIT, || async {
            let answer: Value =
                serde_json::from_slice(&desk.run("kubectl boboyka why db-0 -o json").stdout)?;
            let verdict = answer["verdict"].as_str().unwrap_or_default();
            Ok(verdict.contains(&format!("strand {strand} is {fenced}")))
        })
        .await
        .unwrap();
        let why = desk.ends(1, "kubectl boboyka why db-0");
        assert!(why.contains("the pod comes by itself"), "{why}");
        let checks = desk.json(0, "kubectl boboyka check")["checks"].clone();
        let mut checks = checks.as_array().unwrap().iter();
        let strands = checks.find(|one| one["name"] == "strands").unwrap();
        assert_eq!(strands["outcome"], "warned", "{strands}");
        desk.ends(0, "kubectl boboyka report --file report.tar.gz");
        assert!(desk.ends(0, "tar -xzOf report.tar.gz").contains(fenced));

        let lifted = desk.ends(0, &unfence);
        assert!(lifted.contains("is no longer fenced"), "{lifted}");
        agents.pods("db", 1).await;
        assert!(agents.events("db-0").await.contains("bld_before"));
        assert_eq!(agents.strands().await.len(), 1);
        assert!(desk.ends(0, &unfence).contains("was not fenced"));
    });
}

/// Others hear what they lack; a wrong command line names what is wrong with it.
async fn only_who_may(desk: &Desk, agents: &Agents, fence: &str) {
    for (name, role) in [("jane", "edit"), ("fay", "boboyka-administer")] {
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        });
        agents
            .namespace
            .create::<RoleBinding>(binding)
            .await
            .unwrap();
    }
    wait_for("fay to be let", LIMIT, || async {
        let tried = desk.run(&format!("{fence} --dry-run --as fay"));
        Ok(tried.status.success())
    })
    .await
    .unwrap();
    assert!(agents.strands().await[0].spec.fenced.is_none(), "a dry run");
    for (line, code, words) in [
        (
            format!("{fence} --as jane"),
            3,
            "you may not patch boboykastrands",
        ),
        (
            fence.replace("'the disk is suspect'", "''"),
            3,
            "spec.fenced.reason",
        ),
        (
            "kubectl boboyka fence nope --reason r".to_owned(),
            3,
            "boboykastrands.boboyka.sapixdb.com nope",
        ),
        (
            "kubectl boboyka unfence nope".to_owned(),
            3,
            "boboykastrands.boboyka.sapixdb.com nope",
        ),
        ("kubectl boboyka fence nope".to_owned(), 2, "--reason"),
    ] {
        let told = desk.complains(code, &line);
        assert!(told.contains(words), "{line}: {told}");
    }
}
