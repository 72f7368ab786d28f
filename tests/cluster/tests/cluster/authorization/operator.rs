//! Drains, and what the operator itself may not.

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::pods::{injected, mount};
use super::{Caller, LIMIT, OPERATOR, assert_refused, binding, cluster, dry, kubectl, tenancy};
use crate::shared::run;

/// A pod as it comes from the webhook.
fn drain(suspend: bool, label: bool) -> Job {
    let labels = if label {
        json!({"boboyka.sapixdb.com/drain": "boboyka-0"})
    } else {
        json!({"app": "x"})
    };
    let mut pod = injected()["spec"].clone();
    pod["containers"] =
        json!([{"name": "boboyka-sidecar", "image": "sidecar:1", "volumeMounts": mount()}]);
    pod["initContainers"] = json!([]);
    pod["restartPolicy"] = json!("Never");
    serde_json::from_value(json!({
        "metadata": {"name": "drain"},
        "spec": {"suspend": suspend, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }))
    .unwrap()
}

#[test]
fn drains_come_from_the_operators_jobs_only() {
    run(async {
        let namespace = tenancy().await;
        let tenant = Caller::person("tenant").client().await;
        let jobs = Api::<Job>::namespaced(tenant, namespace.name());
        let answer = jobs.create(&dry(), &drain(false, true)).await;
        assert_refused("a tenant's drain", answer, "may create or change Jobs");

        // A suspended Job's template can be changed; the label must not come by that way.
        let create = PostParams::default();
        jobs.create(&create, &drain(true, false)).await.unwrap();
        let label = json!({"spec": {"template": {"metadata": {"labels": {"boboyka.sapixdb.com/drain": "s"}}}}});
        let answer = jobs
            .patch("drain", &PatchParams::default(), &Patch::Merge(&label))
            .await;
        assert_refused(
            "a label that comes later",
            answer,
            "may create or change Jobs",
        );
        // And without it, a Job that would mount the strand makes no pod.
        let resume = json!({"spec": {"suspend": false}});
        jobs.patch("drain", &PatchParams::default(), &Patch::Merge(&resume))
            .await
            .unwrap();
        wait_for("the Job's Event", LIMIT, || async {
            let told = kubectl(cluster().await, &["get", "events", "-n", namespace.name()]);
            Ok(String::from_utf8_lossy(&told.stdout).contains("does not have the label"))
        })
        .await
        .unwrap();
        jobs.delete("drain", &DeleteParams::foreground())
            .await
            .unwrap();
        wait_for("the Job to be gone", LIMIT, || async {
            Ok(jobs.get_opt("drain").await?.is_none())
        })
        .await
        .unwrap();

        let operator = Caller::account(OPERATOR).client().await;
        let drains = Api::<Job>::namespaced(operator, namespace.name());
        let answer = drains.create(&dry(), &drain(false, false)).await;
        assert_refused("another Job of the operator", answer, "drain Jobs only");
        drains.create(&create, &drain(false, true)).await.unwrap();
        wait_for("the drain's pod", LIMIT, || async {
            let pods = namespace
                .api::<Pod>()
                .list(&ListParams::default().labels(names::DRAIN_LABEL))
                .await?;
            Ok(pods.items.len() == 1)
        })
        .await
        .unwrap();
    });
}

fn workload() -> Value {
    json!({"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}})
}

async fn workloads(namespace: &TestNamespace) {
    let spec = json!({"selector": {"matchLabels": {"app": "w"}}, "template": workload()});
    namespace
        .create::<Deployment>(json!({"metadata": {"name": "w"}, "spec": spec}))
        .await
        .unwrap();
    let mut template = workload();
    template["spec"]["restartPolicy"] = json!("Never");
    let spec = json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}});
    namespace
        .create::<CronJob>(json!({"metadata": {"name": "w"}, "spec": spec}))
        .await
        .unwrap();
}

#[test]
fn the_operator_labels_what_a_workload_runs_and_changes_nothing_of_it() {
    run(async {
        let namespace = tenancy().await;
        workloads(&namespace).await;
        let operator = Caller::account(OPERATOR).client().await;
        let deployments = Api::<Deployment>::namespaced(operator.clone(), namespace.name());
        let cron_jobs = Api::<CronJob>::namespaced(operator, namespace.name());
        let ours = json!({"metadata": {"labels": {names::INTEGRATION_LABEL: "boboyka"}}});
        let other = json!({"metadata": {"labels": {"other": "x"}}});
        let image = json!({"spec": {"containers": [{"name": "app", "image": "other"}]}});
        let account = json!({"spec": {"serviceAccountName": "powerful"}});
        for (what, change, why) in [
            ("our label", ours, None),
            (
                "another label",
                other,
                Some("only labels and annotations of a workload's pods"),
            ),
            (
                "an image",
                image,
                Some("may not change the pod specification of a workload"),
            ),
            (
                "an account",
                account,
                Some("may not change the pod specification of a workload"),
            ),
        ] {
            let parameters = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            let template = json!({"spec": {"template": change}});
            let deployment = deployments
                .patch("w", &parameters, &Patch::Strategic(&template))
                .await;
            let template = json!({"spec": {"jobTemplate": template}});
            let cron_job = cron_jobs
                .patch("w", &parameters, &Patch::Strategic(&template))
                .await;
            match why {
                None => {
                    deployment.unwrap();
                    cron_job.unwrap();
                }
                Some(why) => {
                    assert_refused(what, deployment, why);
                    assert_refused(what, cron_job, why);
                }
            }
        }
    });
}

#[test]
fn the_operator_binds_the_sidecars_role_to_the_namespaces_own_accounts_and_no_other_role() {
    run(async {
        let namespace = tenancy().await;
        let operator = Caller::account(OPERATOR).client().await;
        let api = Api::<RoleBinding>::namespaced(operator, namespace.name());
        let group = |of: &str| json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": format!("system:serviceaccounts:{of}")}]);
        let own = group(namespace.name());
        api.create(&dry(), &binding("b", names::SIDECAR_ROLE, &own))
            .await
            .unwrap();
        for (what, role, subjects, why) in [
            (
                "its own role",
                "boboyka-operator",
                &own,
                "no role except boboyka-sidecar",
            ),
            (
                "an administrator's role",
                "cluster-admin",
                &own,
                "attempting to grant RBAC permissions",
            ),
            (
                "another namespace's accounts",
                names::SIDECAR_ROLE,
                &group("default"),
                "only to the service accounts of the namespace",
            ),
        ] {
            let answer = api.create(&dry(), &binding("b", role, subjects)).await;
            match answer {
                // Which of the two is asked first is the API server's affair.
                Err(kube::Error::Api(status)) if status.message.contains("no role except") => {}
                answer => assert_refused(what, answer, why),
            }
        }
        assert_eq!(
            api.list(&ListParams::default())
                .await
                .unwrap()
                .iter()
                .filter(|one| one.name_any() == "b")
                .count(),
            0
        );
    });
}
