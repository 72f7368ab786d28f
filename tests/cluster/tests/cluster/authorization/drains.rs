//! Jobs on strands: only the operator has them, and it has no others.

use boboyka_cluster::wait_for;
use boboyka_crds::names;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Caller, LIMIT, OPERATOR, assert_refused, cluster, dry, kubectl, tenancy};
use crate::shared::run;

/// A Job as the operator makes it.
pub(super) fn drain(suspend: bool, label: bool) -> Job {
    serde_json::from_value(drain_with(suspend, label, |_| {})).unwrap()
}

/// The same, its pod changed.
fn drain_with(suspend: bool, label: bool, change: impl FnOnce(&mut Value)) -> Value {
    let labels = if label {
        json!({"boboyka.sapixdb.com/drain": "boboyka-0"})
    } else {
        json!({"app": "x"})
    };
    let mut pod = json!({
        "restartPolicy": "OnFailure", "automountServiceAccountToken": false,
        "securityContext": {"fsGroup": 65532, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "boboyka-sidecar", "image": "localhost/boboyka-sidecar:1", "args": ["drain"],
            "env": [
                {"name": "BOBOYKA_STRAND", "value": "boboyka-0"},
                {"name": "BOBOYKA_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ],
            "ports": [{"containerPort": 7476}],
            "volumeMounts": [{"name": "boboyka-strand", "mountPath": "/var/lib/boboyka"}],
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "allowPrivilegeEscalation": false, "privileged": false,
                "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
            },
        }],
        "volumes": [
            {"name": "boboyka-strand", "persistentVolumeClaim": {"claimName": "boboyka-strand-boboyka-0"}},
            {"name": "boboyka-supabase", "secret": {"secretName": "s"}},
            {"name": "boboyka-token", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt"}},
            ]}},
        ],
    });
    change(&mut pod);
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "drain"},
        "spec": {"suspend": suspend, "template": {"metadata": {"labels": labels}, "spec": pod}},
    })
}

/// What the operator's backfill runs.
const BACKFILL: [&str; 3] = ["backfill", "--data-dir", "/var/lib/boboyka/strand"];

/// The backfill of the integration `boboyka` as the operator makes it.
pub(super) fn backfill() -> Job {
    on("boboyka-history", "boboyka", &json!(BACKFILL))
}

/// A Job on a strand of an integration, with these arguments.
fn on(strand: &str, integration: &str, arguments: &Value) -> Job {
    let mut job = drain_with(false, true, |pod| {
        pod["containers"][0]["args"] = arguments.clone();
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!(names::claim_of(strand));
    });
    job["spec"]["template"]["metadata"]["labels"] =
        json!({names::JOB_LABEL: strand, names::INTEGRATION_LABEL: integration});
    serde_json::from_value(job).unwrap()
}

#[test]
fn drains_come_from_the_operators_jobs_only() {
    run(async {
        let namespace = tenancy().await;
        let jobs = Caller::person("tenant").api::<Job>(&namespace).await;
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

        let drains = Caller::account(OPERATOR).api::<Job>(&namespace).await;
        let answer = drains.create(&dry(), &drain(false, false)).await;
        assert_refused(
            "another Job of the operator",
            answer,
            "Jobs on strands only",
        );
        drains.create(&create, &drain(false, true)).await.unwrap();
        wait_for("the drain's pod", LIMIT, || async {
            let pods = namespace
                .api::<Pod>()
                .list(&ListParams::default().labels(names::JOB_LABEL))
                .await?;
            Ok(pods.items.len() == 1)
        })
        .await
        .unwrap();
    });
}

/// What a stolen token of the operator could want of a Job; where, what, and why not.
#[expect(clippy::too_many_lines, reason = "a table")]
fn pods_of_a_thief() -> Vec<(&'static str, Value, &'static str)> {
    let mounts_nothing_else =
        "mounts the claim of its strand, the Secret of Supabase and the token";
    let restricted = "restricted Pod Security Standard";
    let host = "uses no namespace and no port of its node";
    let volume = |volume: Value| json!([volume]);
    vec![
        (
            "/containers/0/image",
            json!("attacker/x:1"),
            "image of the chart's values",
        ),
        (
            "/containers/0/command",
            json!(["/bin/sh"]),
            "runs the command drain",
        ),
        (
            "/containers/0/args",
            json!(["serve"]),
            "runs the command drain",
        ),
        (
            "/containers/0/lifecycle",
            json!({"postStart": {"exec": {"command": ["x"]}}}),
            "runs the command drain",
        ),
        (
            "/containers/0/env/0/name",
            json!("LD_PRELOAD"),
            "variables that begin with BOBOYKA_",
        ),
        (
            "/containers/0/env/0/name",
            json!("BOBOYKA_SUPABASE_URL"),
            "no URL or key of Supabase",
        ),
        (
            "/containers/0/env/1/valueFrom",
            json!({"secretKeyRef": {"name": "s", "key": "k"}}),
            "none from a Secret",
        ),
        (
            "/containers/0/envFrom",
            json!([{"secretRef": {"name": "s"}}]),
            "none from a Secret",
        ),
        ("/containers/0/ports/0/hostPort", json!(7476), host),
        (
            "/containers/0/securityContext",
            json!({"privileged": true, "runAsNonRoot": true, "readOnlyRootFilesystem": true}),
            restricted,
        ),
        (
            "/containers/0/securityContext/runAsUser",
            json!(0),
            restricted,
        ),
        (
            "/containers/0/securityContext/capabilities",
            json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
            restricted,
        ),
        ("/containers/0/securityContext", json!({}), restricted),
        (
            "/containers/0/name",
            json!("other"),
            "one container, boboyka-sidecar",
        ),
        (
            "/initContainers",
            json!([{"name": "other", "image": "x"}]),
            "one container, boboyka-sidecar",
        ),
        (
            "/containers",
            json!([{"name": "boboyka-sidecar", "image": "localhost/boboyka-sidecar:1"}, {"name": "b", "image": "x"}]),
            "one container",
        ),
        (
            "/volumes",
            volume(json!({"name": "boboyka-strand", "hostPath": {"path": "/"}})),
            mounts_nothing_else,
        ),
        (
            "/volumes",
            volume(
                json!({"name": "boboyka-strand", "persistentVolumeClaim": {"claimName": "boboyka-strand-other"}}),
            ),
            mounts_nothing_else,
        ),
        (
            "/volumes",
            volume(json!({"name": "data", "secret": {"secretName": "s"}})),
            mounts_nothing_else,
        ),
        (
            "/volumes",
            volume(
                json!({"name": "boboyka-token", "projected": {"sources": [{"secret": {"name": "s"}}]}}),
            ),
            mounts_nothing_else,
        ),
        (
            "/serviceAccountName",
            json!("powerful"),
            "default service account",
        ),
        (
            "/automountServiceAccountToken",
            json!(true),
            "default service account",
        ),
        ("/hostNetwork", json!(true), host),
        ("/hostPID", json!(true), host),
        ("/hostIPC", json!(true), host),
        ("/shareProcessNamespace", json!(true), host),
    ]
}

#[test]
fn a_drain_of_the_operator_runs_one_restricted_container_of_our_image_and_nothing_else() {
    run(async {
        let namespace = tenancy().await;
        let jobs = Caller::account(OPERATOR).api::<Job>(&namespace).await;
        jobs.create(&dry(), &drain(false, true)).await.unwrap();
        for (path, value, why) in pods_of_a_thief() {
            let job = drain_with(false, true, |pod| {
                let (parent, field) = path.rsplit_once('/').unwrap();
                pod.pointer_mut(parent).unwrap()[field] = value.clone();
                if field == "containers" || field == "volumes" {
                    pod["containers"][0]["volumeMounts"] = json!([]);
                }
            });
            let what = format!("{path}: {value}");
            let answer = jobs
                .create(&dry(), &serde_json::from_value(job).unwrap())
                .await;
            assert_refused(&what, answer, why);
        }
    });
}

#[test]
fn the_operator_neither_changes_nor_deletes_the_jobs_of_others() {
    run(async {
        let namespace = tenancy().await;
        let create = PostParams::default();
        let mut other = drain(true, false);
        other.metadata.name = Some("backup".to_owned());
        namespace
            .api::<Job>()
            .create(&create, &other)
            .await
            .unwrap();
        let jobs = Caller::account(OPERATOR).api::<Job>(&namespace).await;
        let answer = jobs.delete("backup", &DeleteParams::default()).await;
        assert_refused("deletion", answer, "delete Jobs on strands only");
        let resume = Patch::Merge(json!({"spec": {"suspend": false}}));
        let answer = jobs.patch("backup", &PatchParams::default(), &resume).await;
        assert_refused("a change", answer, "change and delete Jobs on strands only");
        jobs.create(&create, &drain(true, true)).await.unwrap();
        let label =
            Patch::Merge(json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}));
        let answer = jobs.patch("drain", &PatchParams::default(), &label).await;
        assert_refused("other pods", answer, "may not change the pods of a Job");
        jobs.delete("drain", &DeleteParams::default())
            .await
            .unwrap();
    });
}

#[test]
fn a_backfill_of_the_operator_works_on_the_history_of_its_integration_and_on_no_other_strand() {
    run(async {
        let namespace = tenancy().await;
        let jobs = Caller::account(OPERATOR).api::<Job>(&namespace).await;
        let backfill = json!(BACKFILL);
        let history = "boboyka-history";
        jobs.create(&dry(), &self::backfill()).await.unwrap();
        let command = "runs the command backfill --data-dir /var/lib/boboyka/strand of the image";
        for (strand, integration, arguments, why) in [
            (
                "boboyka-0",
                "boboyka",
                &backfill,
                "runs the command drain of the image",
            ),
            (
                history,
                "other",
                &backfill,
                "runs the command drain of the image",
            ),
            (history, "boboyka", &json!(["drain"]), command),
            (history, "boboyka", &json!(["backfill"]), command),
            (
                history,
                "boboyka",
                &json!(["backfill", "--data-dir", "/tmp"]),
                command,
            ),
        ] {
            let what = format!("{arguments} on {strand} of {integration}");
            let answer = jobs
                .create(&dry(), &on(strand, integration, arguments))
                .await;
            assert_refused(&what, answer, why);
        }
        let other = names::claim_of("boboyka-0");
        let mut job = serde_json::to_value(on(history, "boboyka", &backfill)).unwrap();
        job["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] =
            json!(other);
        let answer = jobs
            .create(&dry(), &serde_json::from_value(job).unwrap())
            .await;
        assert_refused(
            "the claim of another strand",
            answer,
            "mounts the claim of its strand",
        );
    });
}
