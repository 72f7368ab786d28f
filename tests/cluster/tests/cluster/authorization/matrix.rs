//! The matrix of verbs, asked of the authorizer.

use boboyka_cluster::wait_for;
use boboyka_crds::names;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde_json::json;

use super::{Caller, LIMIT, OPERATOR, cluster, tenancy};
use crate::charts::template;
use crate::shared::run;

/// Whether the authorizer lets somebody; `what` is `VERB RESOURCE[.GROUP][/SUBRESOURCE][:NAME]`.
pub(super) async fn may(
    client: &Client,
    who: &Caller,
    namespace: Option<&str>,
    what: &str,
) -> bool {
    let (verb, resource) = what.split_once(' ').unwrap();
    let (resource, name) = resource.split_once(':').unwrap_or((resource, ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review: SubjectAccessReview = serde_json::from_value(json!({"metadata": {}, "spec": {
        "user": who.user, "groups": who.groups,
        "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "name": name, "namespace": namespace},
    }}))
    .unwrap();
    let answer = Api::<SubjectAccessReview>::all(client.clone())
        .create(&PostParams::default(), &review)
        .await;
    answer.unwrap().status.unwrap().allowed
}

const YES: bool = true;
const NO: bool = false;

/// What the operator may do in a tenant's namespace.
const OPERATOR_THERE: &[(bool, &str)] = &[
    (YES, "watch boboykaintegrations.boboyka.sapixdb.com"),
    (YES, "patch boboykaintegrations.boboyka.sapixdb.com/status"),
    (NO, "patch boboykaintegrations.boboyka.sapixdb.com"),
    (NO, "delete boboykaintegrations.boboyka.sapixdb.com"),
    (YES, "create boboykastrands.boboyka.sapixdb.com"),
    (YES, "delete boboykastrands.boboyka.sapixdb.com"),
    (NO, "patch boboykastrands.boboyka.sapixdb.com/status"),
    (YES, "list pods"),
    (YES, "patch pods"),
    (NO, "create pods"),
    (NO, "delete pods"),
    (NO, "create pods/exec"),
    (NO, "get pods/exec"),
    (NO, "get pods/log"),
    (NO, "patch pods/ephemeralcontainers"),
    (YES, "create persistentvolumeclaims"),
    (NO, "delete persistentvolumeclaims"),
    (YES, "create jobs.batch"),
    (YES, "patch cronjobs.batch"),
    (NO, "create cronjobs.batch"),
    (YES, "patch deployments.apps"),
    (YES, "patch daemonsets.apps"),
    (NO, "create deployments.apps"),
    (NO, "delete statefulsets.apps"),
    (YES, "create rolebindings.rbac.authorization.k8s.io"),
    (NO, "delete rolebindings.rbac.authorization.k8s.io"),
    (NO, "create roles.rbac.authorization.k8s.io"),
    (
        YES,
        "bind clusterroles.rbac.authorization.k8s.io:boboyka-sidecar",
    ),
    (
        NO,
        "bind clusterroles.rbac.authorization.k8s.io:cluster-admin",
    ),
    (
        NO,
        "escalate clusterroles.rbac.authorization.k8s.io:boboyka-sidecar",
    ),
    (YES, "create events.events.k8s.io"),
    (NO, "get configmaps"),
    (NO, "watch configmaps"),
    (NO, "watch configmaps:other"),
    (YES, "list configmaps:boboyka-legacy-projects"),
    (YES, "watch configmaps:boboyka-legacy-projects"),
    (NO, "patch configmaps:boboyka-legacy-projects"),
    (NO, "create configmaps"),
    (NO, "create leases.coordination.k8s.io"),
    (NO, "create serviceaccounts/token"),
    (NO, "impersonate serviceaccounts"),
];

#[test]
fn the_operator_may_do_what_it_does_and_nothing_else() {
    run(async {
        let namespace = tenancy().await;
        let client = cluster().await.client();
        let operator = Caller::account(OPERATOR);
        for (expected, what) in OPERATOR_THERE {
            let allowed = may(&client, &operator, Some(namespace.name()), what).await;
            assert_eq!(allowed, *expected, "{what}");
        }
        for (expected, what) in [
            (YES, "update leases.coordination.k8s.io:boboyka-operator"),
            (YES, "watch leases.coordination.k8s.io:boboyka-operator"),
            (NO, "update leases.coordination.k8s.io:other"),
            (NO, "delete leases.coordination.k8s.io:boboyka-operator"),
            (YES, "patch configmaps:boboyka-operator-authorities"),
            (NO, "get configmaps:other"),
            (YES, "patch configmaps:boboyka-operator-witness-0"),
            (YES, "get configmaps:boboyka-operator-witness-f"),
            (NO, "delete configmaps:boboyka-operator-witness-0"),
            (NO, "get configmaps:boboyka-operator-witness-g"),
        ] {
            let allowed = may(&client, &operator, Some("boboyka-system"), what).await;
            assert_eq!(allowed, expected, "{what}");
        }
        for (expected, what) in [
            (
                YES,
                "patch mutatingwebhookconfigurations.admissionregistration.k8s.io:boboyka-operator",
            ),
            (
                NO,
                "patch mutatingwebhookconfigurations.admissionregistration.k8s.io:other",
            ),
            (
                NO,
                "delete mutatingwebhookconfigurations.admissionregistration.k8s.io:boboyka-operator",
            ),
            (
                NO,
                "patch validatingadmissionpolicies.admissionregistration.k8s.io:boboyka-strands",
            ),
            (
                YES,
                "get customresourcedefinitions.apiextensions.k8s.io:boboykastrands.boboyka.sapixdb.com",
            ),
            (
                NO,
                "patch customresourcedefinitions.apiextensions.k8s.io:boboykastrands.boboyka.sapixdb.com",
            ),
            (NO, "list customresourcedefinitions.apiextensions.k8s.io"),
            (YES, "list nodes"),
            (YES, "watch nodes"),
            (NO, "patch nodes"),
            (NO, "get nodes/proxy"),
            (YES, "list persistentvolumes"),
            (YES, "watch persistentvolumes"),
            (NO, "create persistentvolumes"),
            (NO, "patch persistentvolumes"),
            (NO, "delete persistentvolumes"),
            (NO, "list namespaces"),
            (NO, "create clusterrolebindings.rbac.authorization.k8s.io"),
            (NO, "impersonate users"),
        ] {
            assert_eq!(
                may(&client, &operator, None, what).await,
                expected,
                "{what}"
            );
        }
    });
}

#[test]
fn the_operator_and_the_sidecars_read_no_secret_in_any_namespace() {
    run(async {
        let tenancy = tenancy().await;
        let client = cluster().await.client();
        let sidecar = format!("system:serviceaccount:{}:default", tenancy.name());
        let maker = "system:serviceaccount:boboyka-system:boboyka-witness-key";
        let maker = Caller::account(maker);
        for verb in ["get", "list", "watch", "update", "patch", "delete"] {
            let what = format!("{verb} secrets");
            let allowed = may(&client, &maker, Some("boboyka-system"), &what).await;
            assert!(!allowed, "the maker of the witness's key: {what}");
        }
        for who in [Caller::account(OPERATOR), Caller::account(&sidecar)] {
            for namespace in [
                None,
                Some(tenancy.name()),
                Some("boboyka-system"),
                Some("kube-system"),
            ] {
                for verb in [
                    "get", "list", "watch", "create", "update", "patch", "delete",
                ] {
                    let what = format!("{verb} secrets");
                    let allowed = may(&client, &who, namespace, &what).await;
                    assert!(!allowed, "{who:?} {what} in {namespace:?}");
                }
            }
        }
    });
}

#[test]
fn sidecars_report_in_their_namespace_and_people_have_what_view_and_edit_promise() {
    run(async {
        let (here, there) = (tenancy().await, tenancy().await);
        let client = cluster().await.client();
        super::bind(&here, "view", "reader").await;
        super::bind(&here, "admin", "chief").await;
        let sidecar = Caller::account(&format!("system:serviceaccount:{}:agent", here.name()));
        let reader = Caller::person("reader");
        // The controller gathers the roles.
        wait_for("the role view to be gathered", LIMIT, || async {
            Ok(may(
                &client,
                &reader,
                Some(here.name()),
                "get boboykastrands.boboyka.sapixdb.com",
            )
            .await)
        })
        .await
        .unwrap();
        let integrations = "boboykaintegrations.boboyka.sapixdb.com";
        let strands = "boboykastrands.boboyka.sapixdb.com";
        // Who; get and write integrations; get and write strands; write a strand's status; administer and fence
        // strands.
        for (who, expected) in [
            (&sidecar, [YES, NO, YES, NO, YES, NO, NO]),
            (&reader, [YES, NO, YES, NO, NO, NO, NO]),
            (&Caller::person("tenant"), [YES, YES, YES, NO, NO, NO, NO]),
            (&Caller::person("chief"), [YES, YES, YES, NO, NO, NO, NO]),
            (&Caller::person("stranger"), [NO; 7]),
            (&Caller::administrator(), [YES; 7]),
        ] {
            let asked = [
                format!("get {integrations}"),
                format!("patch {integrations}"),
                format!("get {strands}"),
                format!("patch {strands}"),
                format!("patch {strands}/status"),
                format!("administer {strands}"),
                format!("fence {strands}"),
            ];
            for (what, expected) in asked.iter().zip(expected) {
                let allowed = may(&client, who, Some(here.name()), what).await;
                assert_eq!(allowed, expected, "{who:?} {what}");
            }
        }
        let what = format!("patch {strands}/status");
        assert!(!may(&client, &sidecar, Some(there.name()), &what).await);
    });
}

#[test]
fn with_one_namespace_watched_the_operator_has_no_rights_in_another() {
    run(async {
        let (watched, other) = (tenancy().await, tenancy().await);
        let client = cluster().await.client();
        let value = format!("watchNamespace={}", watched.name());
        let rendered = template(&["--set", &value, "--set", "serviceAccount.name=narrow"]);
        // The cluster has the cluster's part already, for the operator of all namespaces.
        let (mut applied, mut beyond) = (0, 0);
        for object in rendered {
            let kind = object["kind"].as_str().unwrap();
            if object["metadata"]["namespace"] != watched.name() {
                beyond += usize::from(matches!(kind, "ClusterRole" | "ClusterRoleBinding"));
                continue;
            }
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
                "rbac.authorization.k8s.io",
                "v1",
                kind,
            ));
            let name = object["metadata"]["name"].as_str().unwrap();
            Api::<DynamicObject>::namespaced_with(client.clone(), watched.name(), &resource)
                .patch(name, &PatchParams::apply("test"), &Patch::Apply(&object))
                .await
                .unwrap();
            applied += 1;
        }
        assert_eq!(applied, 2, "a Role and its binding");
        assert_eq!(
            beyond, 6,
            "what is the cluster's, the sidecars', and people's"
        );
        let narrow = Caller::account("system:serviceaccount:boboyka-system:narrow");
        for (expected, what) in OPERATOR_THERE {
            let allowed = may(&client, &narrow, Some(watched.name()), what).await;
            assert_eq!(allowed, *expected, "{what}");
            assert!(
                !may(&client, &narrow, Some(other.name()), what).await,
                "{what}"
            );
            assert!(!may(&client, &narrow, None, what).await, "{what}");
        }
        // It can bind the sidecars' role there, and there only.
        let subjects = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
            "name": format!("system:serviceaccounts:{}", watched.name())}]);
        let binding = super::binding("narrow", names::SIDECAR_ROLE, &subjects);
        let api = |namespace: &str, client| Api::namespaced(client, namespace);
        let client = narrow.client().await;
        api(watched.name(), client.clone())
            .create(&super::dry(), &binding)
            .await
            .unwrap();
        let refused = api(other.name(), client)
            .create(&super::dry(), &binding)
            .await;
        super::assert_refused("another namespace", refused, "forbidden");
    });
}
