//! A real API server without nodes: the definitions, the webhook's configuration, namespaces with an integration.
//!
//! The charts are not installed: no policies, no roles. Everybody is the administrator here.

use std::net::SocketAddr;
use std::time::Duration;

use boboyka_cluster::{Cluster, TestNamespace, Tier, wait_for};
use boboyka_crds::{BoboykaIntegration, definitions, names};
use boboyka_tests::process::free_address;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::calls::Calls;

/// The operator's namespace.
pub(crate) const NAMESPACE: &str = "boboyka-system";
/// The name of every integration.
pub(crate) const NAME: &str = "boboyka";
/// The label by which the API server calls the operator for a namespace's pods.
const CALLED: &str = "bench.boboyka.test/called";

/// How long anything may take, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// The cluster.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    /// Where the operator answers admission calls.
    pub(crate) webhook: SocketAddr,
}

impl Stage {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start(Tier::Api, &[]).await.unwrap();
        let stage = Self {
            cluster,
            webhook: free_address(),
        };
        stage.define().await;
        let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
        let namespaces: Api<Namespace> = Api::all(stage.cluster.client());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        stage
            .hooks()
            .create(&PostParams::default(), &stage.hook())
            .await
            .unwrap();
        stage
    }

    async fn define(&self) {
        let api = Api::<CustomResourceDefinition>::all(self.cluster.client());
        for definition in definitions().unwrap() {
            api.create(&PostParams::default(), &definition)
                .await
                .unwrap();
            let name = definition.name_any();
            let established = || async {
                let status = api.get(&name).await?.status.unwrap_or_default();
                let mut conditions = status.conditions.unwrap_or_default().into_iter();
                Ok(conditions.any(|one| one.type_ == "Established" && one.status == "True"))
            };
            wait_for("the definition to be established", LIMIT, established)
                .await
                .unwrap();
        }
    }

    fn hooks(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.client())
    }

    /// As the chart has it, but for the address and the choice of namespaces.
    fn hook(&self) -> MutatingWebhookConfiguration {
        let hook = json!({"metadata": {"name": names::WEBHOOK}, "webhooks": [{
            "name": "inject.boboyka.sapixdb.com", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://{}/inject", self.webhook)},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "objectSelector": {"matchExpressions": [{"key": names::INTEGRATION_LABEL, "operator": "Exists"}]},
            "namespaceSelector": {"matchLabels": {CALLED: "yes"}},
            "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", "timeoutSeconds": 5,
        }]});
        serde_json::from_value(hook).unwrap()
    }

    /// Calls of the operator for a pod, by its path of now and trusting its authorities of now.
    pub(crate) async fn reviews(&self, namespace: &TestNamespace, pod: &Value) -> Calls {
        let hook = self.hooks().get(names::WEBHOOK).await.unwrap();
        let config = hook.webhooks.unwrap().remove(0).client_config;
        let url = config.url.unwrap();
        let path = url.strip_prefix(&format!("https://{}", self.webhook));
        let bundle = config.ca_bundle.unwrap().0;
        Calls::new(
            self.webhook,
            path.unwrap(),
            &bundle,
            namespace.name(),
            pod,
            true,
        )
    }

    /// A namespace with an integration in it.
    pub(crate) async fn namespace(&self, spec: Value) -> TestNamespace {
        let namespace = TestNamespace::new(self.cluster.client()).await.unwrap();
        let accounts = namespace.api::<ServiceAccount>();
        let there = || async { Ok(accounts.get_opt("default").await?.is_some()) };
        wait_for("the namespace's service account", LIMIT, there)
            .await
            .unwrap();
        integrate(&namespace, NAME, spec).await;
        namespace
    }

    /// Has the operator called for a namespace's labelled pods from now on.
    pub(crate) async fn call_for(&self, namespace: &TestNamespace) {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client());
        let label = kube::api::Patch::Merge(json!({"metadata": {"labels": {CALLED: "yes"}}}));
        namespaces
            .patch(namespace.name(), &kube::api::PatchParams::default(), &label)
            .await
            .unwrap();
        let injected = || async {
            let pod = dry_run(namespace, &pod(true)).await;
            Ok(pod.is_some_and(|pod| pod.annotations().contains_key(names::STRAND_ANNOTATION)))
        };
        wait_for("the operator to be called", LIMIT, injected)
            .await
            .unwrap();
    }
}

/// Creates an integration.
pub(crate) async fn integrate(namespace: &TestNamespace, name: &str, spec: Value) {
    let integration = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
        "metadata": {"name": name}, "spec": spec,
    });
    namespace
        .create::<BoboykaIntegration>(integration)
        .await
        .unwrap();
}

/// Creates a pod and does not keep it; the pod as it would have been kept.
pub(crate) async fn dry_run(namespace: &TestNamespace, pod: &Value) -> Option<Pod> {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pod = serde_json::from_value(pod.clone()).unwrap();
    namespace.api::<Pod>().create(&dry, &pod).await.ok()
}

/// An agent's pod as a Deployment makes it, with our label or without.
pub(crate) fn pod(labelled: bool) -> Value {
    let mut pod = json!({
        "metadata": {"generateName": "agent-5d9c7b6f4d-", "labels": {"app": "agent", "pod-template-hash": "5d9c7b6f4d"}},
        "spec": {"containers": [{
            "name": "app", "image": "registry.example.com/agents/builder:1.42.0",
            "env": [{"name": "BOBOYKA_URL", "value": "http://127.0.0.1:7475"}, {"name": "LOG_LEVEL", "value": "info"}],
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
        }]},
    });
    if labelled {
        pod["metadata"]["labels"][names::INTEGRATION_LABEL] = NAME.into();
    }
    pod
}
