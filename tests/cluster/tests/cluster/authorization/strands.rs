//! Strands, their status, and their claims.

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::claims::claim_of_operator;
use super::{
    Caller, LIMIT, OPERATOR, assert_refused, bind, cluster, dry, integration, make_strand, report,
    strand, tenancy, with_token,
};
use crate::shared::run;

async fn pod(namespace: &TestNamespace, name: &str) -> Pod {
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": "app"}]}});
    namespace.create::<Pod>(pod).await.unwrap()
}

#[test]
fn a_sidecar_writes_the_status_of_the_strand_that_its_pod_holds_and_of_no_other() {
    run(async {
        let namespace = tenancy().await;
        let (a, b) = (pod(&namespace, "a").await, pod(&namespace, "b").await);
        let (uid_a, uid_b) = (a.uid().unwrap(), b.uid().unwrap());
        make_strand(&namespace, "of-a", Some(&uid_a)).await;
        make_strand(&namespace, "of-b", Some(&uid_b)).await;
        make_strand(&namespace, "of-nobody", None).await;
        make_strand_with_null(&namespace, "null").await;
        let token_a = with_token(&namespace, Some(&a)).await;
        let write = |name: &'static str, uid: Option<String>| {
            let (client, namespace) = (token_a.clone(), namespace.name());
            async move { report(client, namespace, name, uid.as_deref()).await }
        };

        let written = write("of-a", Some(uid_a.clone())).await.unwrap();
        assert_eq!(written.status.unwrap().pod_uid, Some(uid_a.clone()));
        for (what, name, says, why) in [
            (
                "another pod's strand",
                "of-b",
                Some(&uid_b),
                "holds the strand (spec.holder.podUid); this token is bound to",
            ),
            (
                "another's, under its own name",
                "of-b",
                Some(&uid_a),
                "holds the strand",
            ),
            (
                "its own, in another's name",
                "of-a",
                Some(&uid_b),
                "status.podUid must be the UID of the pod that holds",
            ),
            ("its own, in nobody's name", "of-a", None, "not empty"),
            (
                "a strand that nobody holds",
                "of-nobody",
                Some(&uid_a),
                "no pod holds the strand",
            ),
            (
                "a strand whose holder is null",
                "null",
                Some(&uid_a),
                "no pod holds the strand",
            ),
        ] {
            assert_refused(what, write(name, says.cloned()).await, why);
        }

        // A token ends with its pod, once the API server has forgotten that it was good.
        namespace.delete_pod("a", false).await.unwrap();
        wait_for("the token to end", LIMIT, || async {
            let answer = write("of-a", Some(uid_a.clone())).await;
            Ok(answer.is_err_and(|error| error.to_string().contains("Unauthorized")))
        })
        .await
        .unwrap();
    });
}

/// Makes a strand whose holder is null, as some clients write what is not there.
async fn make_strand_with_null(namespace: &TestNamespace, name: &str) {
    let operator = Caller::account(OPERATOR).client().await;
    let parameters = PatchParams::apply("nulls");
    let mut with_null = serde_json::to_value(strand(name, &json!({}))).unwrap();
    with_null["spec"]["holder"] = Value::Null;
    Api::<BoboykaStrand>::namespaced(operator, namespace.name())
        .patch(name, &parameters, &Patch::Apply(&with_null))
        .await
        .unwrap();
}

#[test]
fn nobody_is_exempt_from_needing_the_holders_token() {
    run(async {
        let namespace = tenancy().await;
        let uid = pod(&namespace, "a").await.uid().unwrap();
        make_strand(&namespace, "of-a", Some(&uid)).await;
        // The same account without a pod, an administrator, the operator.
        let unbound = with_token(&namespace, None).await;
        let others = [
            (
                "a token without a pod",
                unbound,
                "with a token bound to its pod",
            ),
            (
                "an administrator",
                cluster().await.client(),
                "with a token bound to its pod",
            ),
            (
                "the operator",
                Caller::account(OPERATOR).client().await,
                "forbidden",
            ),
            (
                "a tenant",
                Caller::person("tenant").client().await,
                "forbidden",
            ),
        ];
        for (who, client, why) in others {
            let answer = report(client, namespace.name(), "of-a", Some(&uid)).await;
            assert_refused(who, answer, why);
        }
    });
}

#[test]
fn a_sidecar_of_another_namespace_and_one_that_changes_the_spec_are_refused_by_their_role() {
    run(async {
        let (here, there) = (tenancy().await, tenancy().await);
        let own = pod(&here, "own").await;
        let uid = own.uid().unwrap();
        make_strand(&here, "here", Some(&uid)).await;
        make_strand(&there, "there", Some(&uid)).await;
        let client = with_token(&here, Some(&own)).await;
        let answer = report(client.clone(), there.name(), "there", Some(&uid)).await;
        assert_refused("another namespace", answer, "forbidden");
        let api = Api::<BoboykaStrand>::namespaced(client, here.name());
        assert_eq!(
            api.list(&ListParams::default()).await.unwrap().items.len(),
            1
        );
        let change = json!({"spec": {"holder": {"token": "t", "podUid": "another"}}});
        let answer = api
            .patch("here", &PatchParams::default(), &Patch::Merge(&change))
            .await;
        assert_refused("its own holder", answer, "forbidden");
        let answer = api.delete("here", &DeleteParams::default()).await;
        assert_refused("its own strand", answer, "forbidden");
    });
}

#[test]
fn only_the_operator_makes_and_changes_strands_and_only_who_administers_them_deletes_them() {
    run(async {
        let namespace = tenancy().await;
        make_strand(&namespace, "s", None).await;
        // Somebody gave a person every usual verb on strands.
        let role = json!({"metadata": {"name": "careless"}, "rules": [{"apiGroups": ["boboyka.sapixdb.com"],
            "resources": ["boboykastrands"], "verbs": ["get", "create", "update", "patch", "delete", "deletecollection"]}]});
        let roles = Api::<ClusterRole>::all(cluster().await.client());
        roles
            .create(
                &PostParams::default(),
                &serde_json::from_value(role).unwrap(),
            )
            .await
            .unwrap();
        bind(&namespace, "careless", "carla").await;

        let carla = Caller::person("carla");
        for (who, caller) in [
            ("carla", &carla),
            ("an administrator", &Caller::administrator()),
        ] {
            let api = caller.api::<BoboykaStrand>(&namespace).await;
            let made = api.create(&dry(), &strand("more", &json!({}))).await;
            assert_refused(who, made, "may create strands");
            let change = json!({"spec": {"witnessed": {"seq": 1, "hash": "00"}}});
            let changed = api
                .patch("s", &PatchParams::default(), &Patch::Merge(&change))
                .await;
            assert_refused(who, changed, "only the operator may change it");
            let label =
                json!({"metadata": {"labels": {"boboyka.sapixdb.com/integration": "other"}}});
            let labelled = api
                .patch("s", &PatchParams::default(), &Patch::Merge(&label))
                .await;
            assert_refused(who, labelled, "only the operator may change it");
        }
        let api = carla.api::<BoboykaStrand>(&namespace).await;
        let deleted = api.delete("s", &DeleteParams::default()).await;
        assert_refused("carla", deleted, "requires the verb administer");
        let all = api
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await;
        assert_refused(
            "all of them",
            all.map(drop),
            "strand s: deleting it requires",
        );
        bind(&namespace, "boboyka-administer", "carla").await;
        wait_for("carla to be let", LIMIT, || async {
            Ok(api.delete("s", &DeleteParams::default()).await.is_ok())
        })
        .await
        .unwrap();
        make_strand(&namespace, "s", None).await;
        let admin = Api::<BoboykaStrand>::namespaced(cluster().await.client(), namespace.name());
        admin.delete("s", &DeleteParams::default()).await.unwrap();
    });
}

#[test]
fn an_integration_takes_its_strands_along_or_leaves_them_and_a_namespace_goes_with_them() {
    run(async {
        let namespace = tenancy().await;
        let owned = |name: &'static str, owner: &BoboykaIntegration| {
            let mut strand = strand(name, &json!({}));
            strand.metadata.owner_references = owner.controller_owner_ref(&()).map(|one| vec![one]);
            strand
        };
        let integrations = Caller::person("tenant")
            .api::<BoboykaIntegration>(&namespace)
            .await;
        let strands = Caller::account(OPERATOR)
            .api::<BoboykaStrand>(&namespace)
            .await;
        let create = PostParams::default();
        for (name, parameters, stays) in [
            ("taken", DeleteParams::foreground(), false),
            ("left", DeleteParams::orphan(), true),
        ] {
            let made = integrations
                .create(&create, &integration(name))
                .await
                .unwrap();
            strands.create(&create, &owned(name, &made)).await.unwrap();
            integrations.delete(name, &parameters).await.unwrap();
            wait_for("the integration to be gone", LIMIT, || async {
                Ok(integrations.get_opt(name).await?.is_none())
            })
            .await
            .unwrap();
            let left = strands.get_opt(name).await.unwrap();
            assert_eq!(left.is_some(), stays, "{name}");
            assert!(left.is_none_or(|strand| strand.owner_references().is_empty()));
        }
        claim_of_operator(&namespace, "boboyka-strand-left").await;
        let namespaces = Api::<Namespace>::all(cluster().await.client());
        namespaces
            .delete(namespace.name(), &DeleteParams::default())
            .await
            .unwrap();
        wait_for("the namespace to be gone", LIMIT, || async {
            Ok(namespaces.get_opt(namespace.name()).await?.is_none())
        })
        .await
        .unwrap();
    });
}

#[test]
fn an_identity_without_any_extra_is_answered_with_a_sentence() {
    run(async {
        let namespace = tenancy().await;
        make_strand(&namespace, "s", Some("uid-1")).await;
        // Somebody gave a person the sidecars' role in all of the cluster.
        let role = json!({"metadata": {"name": "careless-reporter"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "carl"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "boboyka-sidecar"}});
        Api::<ClusterRoleBinding>::all(cluster().await.client())
            .create(
                &PostParams::default(),
                &serde_json::from_value(role).unwrap(),
            )
            .await
            .unwrap();
        let carl = Caller::person("carl");
        wait_for("the role to be carl's", LIMIT, || async {
            let answer = report(carl.client().await, namespace.name(), "s", Some("uid-1")).await;
            Ok(answer.is_err_and(|error| error.to_string().contains("carl has no such token")))
        })
        .await
        .unwrap();
        let other = carl.clone().bound_to("uid-2").client().await;
        let answer = report(other, namespace.name(), "s", Some("uid-1")).await;
        assert_refused("another pod", answer, "this token is bound to uid-2");
        let same = carl.bound_to("uid-1").client().await;
        report(same, namespace.name(), "s", Some("uid-1"))
            .await
            .unwrap();
    });
}
