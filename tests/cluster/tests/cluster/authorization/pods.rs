//! Pods, what is mounted in them, what may be changed of them, drains, and what the operator itself may not.

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::{Caller, LIMIT, OPERATOR, assert_refused, binding, cluster, dry, kubectl, tenancy};
use crate::shared::run;

/// A pod as it comes from the webhook.
fn injected() -> Value {
    json!({
        "metadata": {
            "name": "agent", "labels": {"app": "agent", "boboyka.sapixdb.com/integration": "boboyka"},
            "annotations": {"boboyka.sapixdb.com/strand": "boboyka-0", "boboyka.sapixdb.com/admission": "t"},
        },
        "spec": {
            "initContainers": [
                {"name": "boboyka-sidecar", "image": "sidecar:1", "restartPolicy": "Always",
                 "volumeMounts": [{"name": "boboyka-strand", "mountPath": "/var/lib/boboyka"}]},
                {"name": "setup", "image": "setup"},
            ],
            "containers": [{"name": "app", "image": "app:1"}],
            "volumes": [{"name": "boboyka-strand", "persistentVolumeClaim": {"claimName": "boboyka-strand-boboyka-0"}}],
        },
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = injected();
    change(&mut pod);
    pod
}

fn mount() -> Value {
    json!([{"name": "boboyka-strand", "mountPath": "/stolen"}])
}

/// What a tenant tries, and what the refusal says; nothing when it is let through.
fn tries() -> Vec<(&'static str, Value, Option<&'static str>)> {
    let claim =
        |name: &str| json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
    let bare = json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "app", "image": "app"}]}});
    vec![
        ("a pod of nobody's", bare.clone(), None),
        ("an injected pod", injected(), None),
        (
            "a native sidecar of others before ours",
            with(|pod| {
                let mesh = json!({"name": "mesh", "image": "mesh", "restartPolicy": "Always"});
                pod["spec"]["initContainers"]
                    .as_array_mut()
                    .unwrap()
                    .insert(0, mesh);
            }),
            None,
        ),
        (
            "a claim of its own",
            with(|pod| {
                let more = claim("data-0")[0].clone();
                pod["spec"]["volumes"].as_array_mut().unwrap().push(more);
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "data", "mountPath": "/data"}]);
            }),
            None,
        ),
        (
            "a strand's claim in a pod of nobody's",
            {
                let mut pod = bare.clone();
                pod["spec"]["volumes"] = claim("boboyka-strand-boboyka-0");
                pod
            },
            Some("lacks the label boboyka.sapixdb.com/integration"),
        ),
        (
            "another's claim",
            with(|pod| {
                pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] =
                    json!("boboyka-strand-boboyka-1");
            }),
            Some("was not given: its annotation boboyka.sapixdb.com/strand says boboyka-0"),
        ),
        (
            "another's claim beside its own",
            with(|pod| {
                pod["spec"]["volumes"]
                    .as_array_mut()
                    .unwrap()
                    .push(claim("boboyka-strand-boboyka-1")[0].clone());
            }),
            Some("was not given"),
        ),
        (
            "a claim without the annotation",
            with(|pod| {
                pod["metadata"]["annotations"] = json!({});
            }),
            Some("boboyka.sapixdb.com/strand is missing"),
        ),
        (
            "the strand in the app",
            with(|pod| {
                pod["spec"]["containers"][0]["volumeMounts"] = mount();
            }),
            Some("a container of this pod mounts it too"),
        ),
        (
            "the strand in an init container",
            with(|pod| {
                pod["spec"]["initContainers"][1]["volumeMounts"] = mount();
            }),
            Some("another init container of this pod mounts it too"),
        ),
        (
            "the strand as a device",
            with(|pod| {
                pod["spec"]["containers"][0]["volumeDevices"] =
                    json!([{"name": "boboyka-strand", "devicePath": "/dev/s"}]);
            }),
            Some("a container of this pod mounts it too"),
        ),
        (
            "the claim under another volume's name",
            with(|pod| {
                pod["spec"]["volumes"]
                    .as_array_mut()
                    .unwrap()
                    .push(claim("boboyka-strand-boboyka-0")[0].clone());
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "data", "mountPath": "/data"}]);
            }),
            Some("a container of this pod mounts it too"),
        ),
        (
            "an ephemeral strand in the app",
            with(|pod| {
                pod["spec"]["volumes"] = json!([{"name": "boboyka-strand", "emptyDir": {}}]);
                pod["spec"]["containers"][0]["volumeMounts"] = mount();
            }),
            Some("a container of this pod mounts it too"),
        ),
        (
            "no sidecar",
            with(|pod| {
                pod["spec"]["initContainers"] = json!([]);
                pod["spec"]["volumes"] = json!([]);
            }),
            Some("came through without"),
        ),
        (
            "a sidecar that is not native any more",
            with(|pod| {
                pod["spec"]["initContainers"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("restartPolicy");
            }),
            Some("restartPolicy Always"),
        ),
        (
            "an init container before the sidecar",
            with(|pod| {
                pod["spec"]["initContainers"]
                    .as_array_mut()
                    .unwrap()
                    .swap(0, 1);
            }),
            Some("stands before boboyka-sidecar"),
        ),
        (
            "a drain",
            with(|pod| {
                pod["metadata"]["labels"]["boboyka.sapixdb.com/drain"] = json!("boboyka-0");
            }),
            Some("made by the job controller only"),
        ),
    ]
}

#[test]
fn a_pod_mounts_no_strand_but_its_own_and_in_no_container_but_the_sidecar() {
    run(async {
        let namespace = tenancy().await;
        let tenant = Caller::person("tenant").client().await;
        let api = Api::<Pod>::namespaced(tenant, namespace.name());
        for (what, pod, refused) in tries() {
            let answer = api
                .create(&dry(), &serde_json::from_value(pod).unwrap())
                .await;
            match refused {
                Some(why) => assert_refused(what, answer, why),
                None => drop(answer.unwrap_or_else(|error| panic!("{what}: {error}"))),
            }
        }
    });
}

async fn patch(api: &Api<Pod>, change: &Value) -> kube::Result<Pod> {
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    api.patch("agent", &parameters, &Patch::Strategic(change))
        .await
}

#[test]
fn what_ties_a_pod_to_its_strand_stays_and_the_operator_changes_its_own_part_only() {
    run(async {
        let namespace = tenancy().await;
        namespace.create::<Pod>(injected()).await.unwrap();
        let of = |client: Client| Api::<Pod>::namespaced(client, namespace.name());
        let tenant = of(Caller::person("tenant").client().await);
        let operator = of(Caller::account(OPERATOR).client().await);
        let label = |key: &str, value: Value| json!({"metadata": {"labels": {key: value}}});
        let annotation =
            |key: &str, value: Value| json!({"metadata": {"annotations": {key: value}}});
        let image =
            |list: &str, name: &str| json!({"spec": {list: [{"name": name, "image": "other:2"}]}});
        let sidecar = image("initContainers", names::CONTAINER);
        for (what, change, why) in [
            (
                "another integration",
                label(names::INTEGRATION_LABEL, json!("other")),
                "stay as they were",
            ),
            (
                "no integration",
                label(names::INTEGRATION_LABEL, Value::Null),
                "stay as they were",
            ),
            (
                "a drain",
                label(names::DRAIN_LABEL, json!("s")),
                "stay as they were",
            ),
            (
                "another strand",
                annotation(names::STRAND_LABEL, json!("boboyka-1")),
                "are the operator's",
            ),
            (
                "no token",
                annotation(names::TOKEN_ANNOTATION, Value::Null),
                "are the operator's",
            ),
            (
                "another sidecar",
                sidecar.clone(),
                "is changed by the operator only",
            ),
        ] {
            assert_refused(what, patch(&tenant, &change).await, why);
        }
        for change in [
            label("team", json!("x")),
            annotation("note", json!("x")),
            image("containers", "app"),
        ] {
            patch(&tenant, &change).await.unwrap();
        }

        let updating = annotation(names::UPDATING_ANNOTATION, json!("2026-01-01T00:00:00Z"));
        for change in [
            sidecar,
            updating,
            annotation(names::IMAGE_ANNOTATION, json!("other:2")),
        ] {
            patch(&operator, &change).await.unwrap();
        }
        for (what, change, why) in [
            (
                "the app's image",
                image("containers", "app"),
                "no container but boboyka-sidecar",
            ),
            (
                "an init container's image",
                image("initContainers", "setup"),
                "no container but boboyka-sidecar",
            ),
            (
                "a tenant's label",
                label("app", json!("other")),
                "no label of a pod",
            ),
            (
                "our label",
                label(names::INTEGRATION_LABEL, json!("other")),
                "stay as they were",
            ),
            (
                "a tenant's annotation",
                annotation("note", json!("x")),
                "no annotation but its own",
            ),
        ] {
            assert_refused(what, patch(&operator, &change).await, why);
        }
        let bare = json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
        namespace.create::<Pod>(bare).await.unwrap();
        let late = label(names::INTEGRATION_LABEL, json!("boboyka"));
        let answer = tenant
            .patch("bare", &PatchParams::default(), &Patch::Merge(&late))
            .await;
        assert_refused(
            "a label put on later",
            answer,
            "Change the pod's template instead",
        );
    });
}

#[test]
fn a_container_for_debugging_reaches_no_strand() {
    run(async {
        let namespace = tenancy().await;
        namespace.create::<Pod>(injected()).await.unwrap();
        let role = json!({"metadata": {"name": "debugger"}, "rules": [{"apiGroups": [""],
            "resources": ["pods", "pods/ephemeralcontainers"], "verbs": ["get", "patch"]}]});
        namespace.create::<Role>(role).await.unwrap();
        let bound = json!({"metadata": {"name": "debugger"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "debugger"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}]});
        namespace.create::<RoleBinding>(bound).await.unwrap();
        let attempt = async |caller: Caller, container: Value| {
            let api = Api::<Pod>::namespaced(caller.client().await, namespace.name());
            let change = json!({"spec": {"ephemeralContainers": [container]}});
            let parameters = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            api.patch_subresource(
                "ephemeralcontainers",
                "agent",
                &parameters,
                &Patch::Strategic(&change),
            )
            .await
        };
        let (tenant, admin) = (Caller::person("tenant"), Caller::administrator());
        let plain = json!({"name": "debug", "image": "debug", "targetContainerName": "app"});
        wait_for("the role to be the tenant's", LIMIT, || async {
            Ok(attempt(tenant.clone(), plain.clone()).await.is_ok())
        })
        .await
        .unwrap();
        let mounts = json!({"name": "debug", "image": "debug", "volumeMounts": mount()});
        for caller in [&tenant, &admin] {
            let answer = attempt(caller.clone(), mounts.clone()).await;
            assert_refused(
                "the strand's volume",
                answer,
                "may not mount the volume of a strand",
            );
        }
        let beside =
            json!({"name": "debug", "image": "debug", "targetContainerName": "boboyka-sidecar"});
        let answer = attempt(tenant, beside.clone()).await;
        assert_refused("the sidecar's processes", answer, "verb administer");
        attempt(admin, beside).await.unwrap();
    });
}

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
        assert_refused("a tenant's drain", answer, "made by the operator only");

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
            "made by the operator only",
        );
        // And without it, a Job that would mount the strand makes no pod.
        let resume = json!({"spec": {"suspend": false}});
        jobs.patch("drain", &PatchParams::default(), &Patch::Merge(&resume))
            .await
            .unwrap();
        wait_for("the Job's Event", LIMIT, || async {
            let told = kubectl(cluster().await, &["get", "events", "-n", namespace.name()]);
            Ok(String::from_utf8_lossy(&told.stdout).contains("lacks the label"))
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
        assert_refused("another Job of the operator", answer, "no Jobs but drains");
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
                Some("no label or annotation of a workload's pods but its own"),
            ),
            ("an image", image, Some("nothing of what a workload runs")),
            (
                "an account",
                account,
                Some("nothing of what a workload runs"),
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
                "no role but boboyka-sidecar",
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
                "nobody but the service accounts of the namespace",
            ),
        ] {
            let answer = api.create(&dry(), &binding("b", role, subjects)).await;
            match answer {
                // Which of the two is asked first is the API server's affair.
                Err(kube::Error::Api(status)) if status.message.contains("no role but") => {}
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
