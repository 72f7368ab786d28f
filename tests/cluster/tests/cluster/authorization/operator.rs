//! What the operator itself may not.

use boboyka_cluster::TestNamespace;
use boboyka_crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::{Caller, OPERATOR, assert_refused, binding, dry, tenancy};
use crate::shared::run;

fn workload() -> Value {
    json!({"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}})
}

/// A namespace with workloads, as the operator reaches them.
async fn workloads() -> (TestNamespace, Api<Deployment>, Api<CronJob>) {
    let namespace = tenancy().await;
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
    let operator = Caller::account(OPERATOR);
    let (deployments, cron_jobs) = (operator.api(&namespace), operator.api(&namespace));
    let (deployments, cron_jobs) = (deployments.await, cron_jobs.await);
    (namespace, deployments, cron_jobs)
}

#[test]
fn the_operator_labels_what_a_workload_runs_and_changes_nothing_of_it() {
    run(async {
        let (_namespace, deployments, cron_jobs) = workloads().await;
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
fn the_operator_neither_scales_nor_pauses_nor_disowns_a_workload() {
    run(async {
        let (_namespace, deployments, cron_jobs) = workloads().await;
        let owner = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}});
        let (strategy, own) = (
            "the scale, the schedule or the strategy",
            "labels and annotations of a workload that begin",
        );
        for (change, why) in [
            (json!({"spec": {"replicas": 0}}), strategy),
            (json!({"spec": {"paused": true}}), strategy),
            (json!({"metadata": {"labels": {"a": "b"}}}), own),
            (owner.clone(), own),
        ] {
            let answer = deployments
                .patch("w", &PatchParams::default(), &Patch::Merge(&change))
                .await;
            assert_refused(&change.to_string(), answer, why);
        }
        for (change, why) in [
            (json!({"spec": {"suspend": true}}), strategy),
            (json!({"spec": {"schedule": "* * * * *"}}), strategy),
            (owner, own),
        ] {
            let answer = cron_jobs
                .patch("w", &PatchParams::default(), &Patch::Merge(&change))
                .await;
            assert_refused(&change.to_string(), answer, why);
        }
        let ours = json!({"metadata": {"annotations": {names::SELECTED_ANNOTATION: "boboyka"}}});
        deployments
            .patch("w", &PatchParams::default(), &Patch::Merge(&ours))
            .await
            .unwrap();
    });
}

#[test]
fn the_operator_binds_the_sidecars_role_to_the_namespaces_own_accounts_and_no_other_role() {
    run(async {
        let namespace = tenancy().await;
        let api = Caller::account(OPERATOR)
            .api::<RoleBinding>(&namespace)
            .await;
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
