//! A stolen token of the operator, played through the authorizer and the policies. `docs/security.md` lists what it can still
//! do; this test holds the list to the truth.

use boboyka_cluster::TestNamespace;
use boboyka_crds::{BoboykaIntegration, names};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::claims::claim_of_operator;
use super::drains::{backfill, drain};
use super::matrix::may;
use super::pods::injected;
use super::{Caller, OPERATOR, binding, cluster, integration, make_strand, tenancy};
use crate::charts::root;
use crate::shared::run;

const OURS: &str = "apis/boboyka.sapixdb.com/v1alpha1";
const RBAC: &str = "apis/rbac.authorization.k8s.io/v1";

/// One thing that a thief tries: what it is, the request's method, path and body. `{}` is the tenant's namespace.
type Try = (&'static str, &'static str, String, Value);

#[expect(clippy::too_many_lines, reason = "a table")]
fn refused() -> Vec<Try> {
    let mut in_kube_system = serde_json::to_value(drain(false, true)).unwrap();
    in_kube_system["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "boboyka-strand", "hostPath": {"path": "/"}}]);
    let admin = binding("b", "cluster-admin", &json!([]));
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let other_image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "x"}]}}}});
    vec![
        (
            "read a Secret",
            "GET",
            "api/v1/namespaces/{}/secrets/s".into(),
            json!(null),
        ),
        ("list Secrets", "GET", "api/v1/secrets".into(), json!(null)),
        (
            "read its own Secrets",
            "GET",
            "api/v1/namespaces/boboyka-system/secrets".into(),
            json!(null),
        ),
        (
            "list ConfigMaps",
            "GET",
            "api/v1/configmaps".into(),
            json!(null),
        ),
        (
            "change a node",
            "PATCH",
            "api/v1/nodes/any".into(),
            json!({"metadata": {"labels": {"a": "b"}}}),
        ),
        (
            "delete a volume",
            "DELETE",
            "api/v1/persistentvolumes/any".into(),
            json!(null),
        ),
        (
            "create a pod",
            "POST",
            "api/v1/namespaces/{}/pods".into(),
            injected(),
        ),
        (
            "delete a pod",
            "DELETE",
            "api/v1/namespaces/{}/pods/agent".into(),
            json!(null),
        ),
        (
            "read a log",
            "GET",
            "api/v1/namespaces/{}/pods/agent/log".into(),
            json!(null),
        ),
        (
            "run a command",
            "POST",
            "api/v1/namespaces/{}/pods/agent/exec?command=x&container=app".into(),
            json!(null),
        ),
        (
            "get the token of an account",
            "POST",
            "api/v1/namespaces/{}/serviceaccounts/default/token".into(),
            token,
        ),
        (
            "mount the disk of a node",
            "POST",
            "apis/batch/v1/namespaces/kube-system/jobs".into(),
            in_kube_system,
        ),
        (
            "change the image of a workload",
            "PATCH",
            "apis/apps/v1/namespaces/{}/deployments/w".into(),
            other_image,
        ),
        (
            "scale a workload",
            "PATCH",
            "apis/apps/v1/namespaces/{}/deployments/w".into(),
            json!({"spec": {"replicas": 0}}),
        ),
        (
            "delete a workload",
            "DELETE",
            "apis/apps/v1/namespaces/{}/deployments/w".into(),
            json!(null),
        ),
        (
            "bind another role",
            "POST",
            format!("{RBAC}/namespaces/{{}}/rolebindings"),
            serde_json::to_value(admin).unwrap(),
        ),
        (
            "delete the claim of a strand",
            "DELETE",
            "api/v1/namespaces/{}/persistentvolumeclaims/boboyka-strand-s".into(),
            json!(null),
        ),
        (
            "report in the name of a sidecar",
            "PATCH",
            format!("{OURS}/namespaces/{{}}/boboykastrands/s/status"),
            json!({"status": {"backlog": 0}}),
        ),
        (
            "change an integration",
            "PATCH",
            format!("{OURS}/namespaces/{{}}/boboykaintegrations/boboyka"),
            json!({"spec": {"suspend": true}}),
        ),
        (
            "weaken a policy",
            "DELETE",
            "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/boboyka-strands"
                .into(),
            json!(null),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn allowed(namespace: &str) -> Vec<Try> {
    let claim = json!({"metadata": {"name": "boboyka-strand-new"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Ti"}}}});
    let owner = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration", "name": "gone", "uid": "gone"}]}});
    let label = json!({"spec": {"template": {"metadata": {"labels": {names::INTEGRATION_LABEL: "boboyka"}}}}});
    let image = json!({"spec": {"initContainers": [{"name": names::CONTAINER, "image": "localhost/boboyka-sidecar:0"}]}});
    let event = json!({"metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r",
        "type": "Normal", "reportingController": "c", "reportingInstance": "i", "regarding": {"namespace": namespace}});
    let sidecars = json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
        "name": format!("system:serviceaccounts:{namespace}")}]);
    let sidecars = binding("b", names::SIDECAR_ROLE, &sidecars);
    let drain = serde_json::to_value(drain(false, true)).unwrap();
    let backfill = serde_json::to_value(backfill()).unwrap();
    vec![
        (
            "list the pods, workloads, Jobs, claims, role bindings, integrations and strands of every namespace",
            "GET",
            "api/v1/pods".into(),
            json!(null),
        ),
        (
            "list the nodes and the persistent volumes of the cluster",
            "GET",
            "api/v1/nodes".into(),
            json!(null),
        ),
        (
            "read the `ConfigMap`s `boboyka-legacy-projects` of every namespace, or those of the names in the chart's `legacyProjects.configMaps`",
            "GET",
            "api/v1/configmaps?fieldSelector=metadata.name%3Dboboyka-legacy-projects".into(),
            json!(null),
        ),
        (
            "create, change and delete strands, and so give a strand to another pod of its namespace",
            "DELETE",
            format!("{OURS}/namespaces/{{}}/boboykastrands/s"),
            json!(null),
        ),
        (
            "create claims whose names begin with `boboyka-strand-`, of any size",
            "POST",
            "api/v1/namespaces/{}/persistentvolumeclaims".into(),
            claim,
        ),
        (
            "make an integration that does not exist the owner of a strand's claim, so that the claim is deleted",
            "PATCH",
            "api/v1/namespaces/{}/persistentvolumeclaims/boboyka-strand-s".into(),
            owner,
        ),
        (
            "add the product's label to the pods of any workload, which rolls it out",
            "PATCH",
            "apis/apps/v1/namespaces/{}/deployments/w".into(),
            label,
        ),
        (
            "move a sidecar to any image of an allowed repository",
            "PATCH",
            "api/v1/namespaces/{}/pods/agent".into(),
            image,
        ),
        (
            "run the drain of a strand with any Secret of its namespace, which sends to the URL in that Secret",
            "POST",
            "apis/batch/v1/namespaces/{}/jobs".into(),
            drain,
        ),
        (
            "run the backfill of the history with any Secret of its namespace, which reads from the URL in that Secret",
            "POST",
            "apis/batch/v1/namespaces/{}/jobs".into(),
            backfill,
        ),
        (
            "put an integration into any phase",
            "PATCH",
            format!("{OURS}/namespaces/{{}}/boboykaintegrations/boboyka/status"),
            json!({"status": {"phase": "CutOver"}}),
        ),
        (
            "let the service accounts of any namespace read its integrations and strands",
            "POST",
            format!("{RBAC}/namespaces/{{}}/rolebindings"),
            serde_json::to_value(sidecars).unwrap(),
        ),
        (
            "write Events",
            "POST",
            "apis/events.k8s.io/v1/namespaces/{}/events".into(),
            event,
        ),
        (
            "make the witness forget what it has cosigned, or refuse every checkpoint; the key it can't read",
            "POST",
            "api/v1/namespaces/boboyka-system/configmaps".into(),
            json!({"metadata": {"name": "boboyka-operator-witness-7"}}),
        ),
    ]
}

async fn attempt(
    client: &Client,
    namespace: &str,
    (what, method, path, body): &Try,
) -> kube::Result<String> {
    let path = path.replace("{}", namespace);
    let mark = if path.contains('?') { '&' } else { '?' };
    let kind = if *method == "PATCH" && path.contains("/pods/") {
        "application/strategic-merge-patch+json"
    } else if *method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(*method)
        .uri(format!("/{path}{mark}dryRun=All"))
        .header("content-type", kind)
        .body(body);
    client
        .request_text(request.unwrap_or_else(|error| panic!("{what}: {error}")))
        .await
}

/// A tenant's namespace with one object of each kind that a thief may want.
async fn with_spoils() -> TestNamespace {
    let namespace = tenancy().await;
    let create = PostParams::default();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"key": "k"}});
    namespace.create::<Secret>(secret).await.unwrap();
    let template = json!({"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "app", "image": "app"}]}});
    let spec =
        json!({"replicas": 1, "selector": {"matchLabels": {"app": "w"}}, "template": template});
    namespace
        .create::<Deployment>(json!({"metadata": {"name": "w"}, "spec": spec}))
        .await
        .unwrap();
    let mut pod = injected();
    pod["spec"]["initContainers"][0]["image"] = json!("localhost/boboyka-sidecar:1");
    namespace.create::<Pod>(pod).await.unwrap();
    make_strand(&namespace, "s", None).await;
    claim_of_operator(&namespace, "boboyka-strand-s").await;
    namespace
        .api::<BoboykaIntegration>()
        .create(&create, &integration("boboyka"))
        .await
        .unwrap();
    namespace
}

#[test]
fn a_stolen_token_of_the_operator_does_what_the_documents_list_and_nothing_more() {
    run(async {
        let namespace = with_spoils().await;
        let thief = Caller::account(OPERATOR).client().await;
        for one in refused() {
            let answer = attempt(&thief, namespace.name(), &one).await;
            // An invalid object would be refused to anybody, and would prove nothing.
            let is_refused = matches!(&answer, Err(kube::Error::Api(status))
                if status.code == 403 || status.message.contains("ValidatingAdmissionPolicy"));
            assert!(is_refused, "{}: {answer:?}", one.0);
        }
        let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
        let (_, list) = text.split_once("A thief with this token can:\n\n").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        let listed = list.replace("\n  ", " ");
        let listed: Vec<&str> = listed
            .lines()
            .map(|line| line.trim_start_matches("- ").trim_end_matches(['.', ';']))
            .collect();
        let allowed = allowed(namespace.name());
        let mut can: Vec<&str> = Vec::new();
        for one in &allowed {
            let answer = attempt(&thief, namespace.name(), one).await;
            assert!(answer.is_ok(), "{}: {answer:?}", one.0);
            can.push(one.0);
        }
        // This cluster has no webhook configuration, so the authorizer alone is asked.
        let webhook =
            "patch mutatingwebhookconfigurations.admissionregistration.k8s.io:boboyka-operator";
        let caller = Caller::account(OPERATOR);
        assert!(may(&cluster().await.client(), &caller, None, webhook).await);
        can.push("change the webhook configuration `boboyka-operator`, and so change every new pod of the cluster");
        assert_eq!(listed, can);
    });
}
