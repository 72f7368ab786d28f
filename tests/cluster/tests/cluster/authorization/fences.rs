//! Fences: the one field of a strand that people write, and who may.

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaStrand, names};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    Caller, LIMIT, OPERATOR, assert_refused, bind, make_strand, report, tenancy, with_token,
};
use crate::shared::run;

async fn change(api: &Api<BoboykaStrand>, change: &Value) -> kube::Result<BoboykaStrand> {
    let change = Patch::Merge(change);
    api.patch("s", &PatchParams::default(), &change).await
}

fn fenced(fence: impl Into<Value>) -> Value {
    let fence = fence.into();
    json!({"spec": {"fenced": fence}})
}

#[test]
fn who_has_the_verb_fences_a_strand_in_their_own_name_and_changes_nothing_else_of_it() {
    run(async {
        let namespace = tenancy().await;
        make_strand(&namespace, "s", Some("uid-1")).await;
        bind(&namespace, "boboyka-administer", "fay").await;
        let fay = Caller::person("fay").api::<BoboykaStrand>(&namespace).await;
        let fence = |by: &str| fenced(json!({"reason": "the disk is suspect", "by": by}));
        wait_for("fay to be let", LIMIT, || async {
            Ok(change(&fay, &fenced(json!({"reason": "r"}))).await.is_ok())
        })
        .await
        .unwrap();
        let strand = change(&fay, &fence("fay")).await.unwrap();
        assert_eq!(strand.spec.fenced.unwrap().by.as_deref(), Some("fay"));
        let why = "spec.fenced.by is not who makes this change, fay: leave spec.fenced.by out";
        assert_refused("another's name", change(&fay, &fence("mallory")).await, why);
        let only = "only the operator may change it, except for spec.fenced; fay may not";
        for (part, value) in [
            ("spec", json!({"holder": null, "fenced": null})),
            ("spec", json!({"holder": {"podUid": "uid-2"}})),
            (
                "spec",
                json!({"slot": {"kind": "DaemonSet", "name": "n", "key": "k"}}),
            ),
            ("spec", json!({"claimName": null})),
            ("metadata", json!({"labels": {"a": "b"}})),
            ("metadata", json!({"annotations": {"a": "b"}})),
            ("metadata", json!({"finalizers": ["a.b/c"]})),
            (
                "metadata",
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}]}),
            ),
        ] {
            let what = format!("{part} {value}");
            let mut both = fence("fay");
            both[part] = value;
            assert_refused(&what, change(&fay, &both).await, only);
        }
        for (fence, why) in [
            (json!({"reason": ""}), "spec.fenced.reason"),
            (json!({"reason": "  "}), "spec.fenced.reason"),
            (json!({"reason": "a\nb"}), "spec.fenced.reason"),
            (json!({"reason": "x".repeat(501)}), "spec.fenced.reason"),
            (json!({"reason": null}), "spec.fenced.reason"),
            (json!("no"), "spec.fenced"),
        ] {
            let answer = change(&fay, &fenced(fence.clone())).await;
            assert_refused(&fence.to_string(), answer, why);
        }
        // The operator's changes leave the fence, and so does a report.
        let operator = Caller::account(OPERATOR)
            .api::<BoboykaStrand>(&namespace)
            .await;
        let holder = json!({"spec": {"holder": {"podName": "p"}}});
        let strand = change(&operator, &holder).await.unwrap();
        assert!(strand.spec.fenced.is_some());
        let lifted = change(&fay, &fenced(Value::Null)).await.unwrap();
        assert!(lifted.spec.fenced.is_none() && lifted.spec.holder.is_some());
    });
}

#[test]
fn who_lacks_the_verb_neither_fences_nor_unfences_also_with_the_right_to_patch() {
    run(async {
        let namespace = tenancy().await;
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "app", "image": "app"}]}});
        let pod = namespace.create::<Pod>(pod).await.unwrap();
        let uid = pod.metadata.uid.clone().unwrap();
        make_strand(&namespace, "s", Some(&uid)).await;
        let root = Caller::administrator()
            .api::<BoboykaStrand>(&namespace)
            .await;
        let fence = fenced(json!({"reason": "r"}));
        let sidecar = with_token(&namespace, Some(&pod)).await;
        let sidecars = Api::<BoboykaStrand>::namespaced(sidecar.clone(), namespace.name());
        let tenant = Caller::person("tenant").api(&namespace).await;
        let both = [&fence, &fenced(Value::Null)];
        change(&root, &fenced(json!({"reason": "by root"})))
            .await
            .unwrap();
        for body in both {
            assert_refused("a sidecar", change(&sidecars, body).await, "forbidden");
            assert_refused("a tenant", change(&tenant, body).await, "forbidden");
        }
        // Somebody was careless, also with the sidecars.
        let role = json!({"metadata": {"name": "patches"}, "rules": [{"apiGroups": [names::GROUP],
            "resources": ["boboykastrands"], "verbs": ["get", "patch", "update"]}]});
        namespace.create::<Role>(role).await.unwrap();
        let to = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        let group = format!("system:serviceaccounts:{}", namespace.name());
        let bound = json!({"metadata": {"name": "patches"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patches"},
            "subjects": [to("User", "tenant"), to("Group", &group)]});
        namespace.create::<RoleBinding>(bound).await.unwrap();
        let verb = "changing spec.fenced requires the verb fence on boboykastrands";
        for (who, api) in [("a sidecar", &sidecars), ("a tenant", &tenant)] {
            wait_for("the role to be theirs", LIMIT, || async {
                let answer = change(api, &fence).await;
                Ok(answer.is_err_and(|error| error.to_string().contains(verb)))
            })
            .await
            .unwrap();
            assert_refused(who, change(api, &fenced(Value::Null)).await, verb);
        }
        // Not by its report either.
        report(sidecar, namespace.name(), "s", Some(&uid))
            .await
            .unwrap();
        let body = json!({"status": {"podUid": uid, "backlog": 0}, "spec": {"fenced": null}});
        let written = sidecars
            .patch_status("s", &PatchParams::default(), &Patch::Merge(&body))
            .await;
        let fence = written.unwrap().spec.fenced.unwrap();
        assert_eq!(fence.reason, "by root");
    });
}
