//! Who may do what, asked of the real authorizer and the real policies, as the charts install them. A control plane
//! without nodes is enough: pods are there as objects, and tokens are bound to them.

mod changes;
mod claims;
mod drains;
mod fences;
mod integrations;
mod matrix;
mod operator;
mod pods;
mod stolen;
mod strands;
mod witness;

use std::process::Command;
use std::time::Duration;

use boboyka_cluster::{Cluster, TestNamespace, Tier, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use boboyka_tests::process::GUARD;
use http::{HeaderName, HeaderValue};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::charts::{NAMESPACE, chart, helm};

pub(super) const LIMIT: Duration = GUARD;
/// The operator, as the API server names it.
pub(super) const OPERATOR: &str = "system:serviceaccount:boboyka-system:boboyka-operator";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// The product in a control plane without nodes. Nobody answers for the webhook there, so it is taken away: what pods
/// look like after it, the tests say themselves.
pub(super) async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::start(Tier::Api, &[]).await.unwrap();
        for name in ["boboyka-crds", "boboyka-operator"] {
            let place = chart(name);
            let place = place.to_str().unwrap();
            let asked = [
                "install",
                name,
                place,
                "-n",
                NAMESPACE,
                "--create-namespace",
            ];
            helm(cluster.kubeconfig(), &asked).unwrap();
        }
        Api::<MutatingWebhookConfiguration>::all(cluster.client())
            .delete(names::WEBHOOK, &DeleteParams::default())
            .await
            .unwrap();
        // Policies take a moment to be in force, all of them together; this one is the last.
        wait_for("the policies to be in force", LIMIT, || async {
            let api = Api::<BoboykaStrand>::namespaced(cluster.client(), "default");
            let made = api.create(&dry(), &strand("s", &json!({}))).await;
            Ok(made.is_err_and(|error| error.to_string().contains("only the operator")))
        })
        .await
        .unwrap();
        cluster
    };
    Box::pin(CLUSTER.get_or_init(start)).await
}

pub(super) fn dry() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    user: String,
    groups: Vec<String>,
    pod_uid: Option<String>,
}

impl Caller {
    /// A person, who has what the cluster's roles give by name.
    pub(super) fn person(name: &str) -> Self {
        Self {
            user: name.to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            pod_uid: None,
        }
    }

    /// A service account, by its whole name.
    pub(super) fn account(user: &str) -> Self {
        let namespace = user.split(':').nth(2).unwrap();
        let groups = ["system:serviceaccounts", "system:authenticated"];
        let mut groups = groups.map(str::to_owned).to_vec();
        groups.push(format!("system:serviceaccounts:{namespace}"));
        Self {
            user: user.to_owned(),
            groups,
            pod_uid: None,
        }
    }

    /// An administrator.
    pub(super) fn administrator() -> Self {
        let mut caller = Self::person("root");
        caller.groups.push("system:masters".to_owned());
        caller
    }

    /// The same with a token that is bound to a pod.
    pub(super) fn bound_to(mut self, pod_uid: &str) -> Self {
        self.pod_uid = Some(pod_uid.to_owned());
        self
    }

    /// A client that is taken for the caller.
    pub(super) async fn client(&self) -> Client {
        let mut config = config(cluster().await).await;
        let mut put = |name: &str, value: &str| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            config
                .headers
                .push((name, HeaderValue::from_str(value).unwrap()));
        };
        put("impersonate-user", &self.user);
        for group in &self.groups {
            put("impersonate-group", group);
        }
        if let Some(uid) = &self.pod_uid {
            let name = format!("impersonate-extra-{}", POD_UID.replace('/', "%2f"));
            put(&name, uid);
        }
        Client::try_from(config).unwrap()
    }

    /// The objects of a namespace, as the caller reaches them.
    pub(super) async fn api<K>(&self, namespace: &TestNamespace) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client().await, namespace.name())
    }
}

async fn config(cluster: &Cluster) -> Config {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

/// A client with a real token of the namespace's default account, bound to a pod or to nothing.
pub(super) async fn with_token(namespace: &TestNamespace, pod: Option<&Pod>) -> Client {
    let bound = pod.map(
        |pod| json!({"kind": "Pod", "apiVersion": "v1", "name": pod.name_any(), "uid": pod.uid()}),
    );
    let request: TokenRequest = serde_json::from_value(json!({
        "metadata": {}, "spec": {"audiences": [], "expirationSeconds": 600, "boundObjectRef": bound},
    }))
    .unwrap();
    let accounts = namespace.api::<ServiceAccount>();
    let parameters = PostParams::default();
    let made = accounts.create_token_request("default", &parameters, &request);
    let token = made.await.unwrap().status.unwrap().token;
    let mut config = config(cluster().await).await;
    config.auth_info = serde_json::from_value(json!({"token": token})).unwrap();
    Client::try_from(config).unwrap()
}

/// A namespace with its default account, in which a person `tenant` may edit and sidecars may report.
pub(super) async fn tenancy() -> TestNamespace {
    let cluster = cluster().await;
    let namespace = TestNamespace::new(cluster.client()).await.unwrap();
    wait_for("the default account", LIMIT, || async {
        let found = namespace.api::<ServiceAccount>().get_opt("default").await?;
        Ok(found.is_some())
    })
    .await
    .unwrap();
    bind(&namespace, "edit", "tenant").await;
    let sidecars = binding(
        "boboyka-sidecar",
        names::SIDECAR_ROLE,
        &json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
            "name": format!("system:serviceaccounts:{}", namespace.name())}]),
    );
    Caller::account(OPERATOR)
        .api::<RoleBinding>(&namespace)
        .await
        .create(&PostParams::default(), &sidecars)
        .await
        .unwrap();
    namespace
}

/// Binds a role of the cluster to a person in a namespace.
pub(super) async fn bind(namespace: &TestNamespace, role: &str, person: &str) {
    let subject =
        json!([{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}]);
    namespace
        .api::<RoleBinding>()
        .create(
            &PostParams::default(),
            &binding(&format!("{person}-{role}"), role, &subject),
        )
        .await
        .unwrap();
}

pub(super) fn binding(name: &str, role: &str, subjects: &Value) -> RoleBinding {
    serde_json::from_value(json!({
        "metadata": {"name": name}, "subjects": subjects,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
    }))
    .unwrap()
}

pub(super) fn strand(name: &str, holder: &Value) -> BoboykaStrand {
    serde_json::from_value(json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand", "metadata": {"name": name},
        "spec": {"integration": "boboyka", "claimName": names::claim_of(name), "holder":
            if holder == &json!({}) { &Value::Null } else { holder }},
    }))
    .unwrap()
}

pub(super) fn integration(name: &str) -> BoboykaIntegration {
    serde_json::from_value(json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
        "metadata": {"name": name}, "spec": {},
    }))
    .unwrap()
}

/// Has the operator make a strand that a pod holds.
pub(super) async fn make_strand(namespace: &TestNamespace, name: &str, pod_uid: Option<&str>) {
    let holder = pod_uid.map_or(json!({}), |uid| json!({"token": "t", "podUid": uid}));
    Caller::account(OPERATOR)
        .api::<BoboykaStrand>(namespace)
        .await
        .create(&PostParams::default(), &strand(name, &holder))
        .await
        .unwrap();
}

/// Reports as a sidecar does.
pub(super) async fn report(
    client: Client,
    namespace: &str,
    name: &str,
    pod_uid: Option<&str>,
) -> kube::Result<BoboykaStrand> {
    let status = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
        "status": {"podUid": pod_uid, "ready": true, "backlog": 0},
    });
    let parameters = PatchParams::apply(names::SIDECAR_MANAGER).force();
    Api::<BoboykaStrand>::namespaced(client, namespace)
        .patch_status(name, &parameters, &Patch::Apply(&status))
        .await
}

/// Fails unless an answer is a refusal whose message has a text.
pub(super) fn assert_refused<T: std::fmt::Debug>(what: &str, answer: kube::Result<T>, why: &str) {
    match answer {
        Err(kube::Error::Api(status)) => {
            let message = &status.message;
            assert!(message.contains(why), "{what}: {message}");
            assert!(!message.contains("expression '"), "{what}: {message}");
        }
        answer => panic!("{what}: not refused: {answer:?}"),
    }
}

/// Runs the cluster's kubectl.
pub(super) fn kubectl(cluster: &Cluster, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(cluster.bin().join("kubectl"));
    command.arg("--kubeconfig").arg(cluster.kubeconfig());
    command.args(arguments).output().unwrap()
}
