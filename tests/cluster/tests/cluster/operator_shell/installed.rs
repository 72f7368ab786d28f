//! An operator as processes beside a real API server, in a namespace of its own.

use std::time::Duration;

use boboyka_cluster::{Cluster, TestNamespace, Tier, wait_for};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use boboyka_tests::process::GUARD;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::replica::Replica;

pub(super) const LIMIT: Duration = GUARD;
pub(super) const NAME: &str = "boboyka-operator";

/// A cluster has one operator, so these tests go one after another.
pub(super) struct Installed {
    pub(super) cluster: &'static Cluster,
    pub(super) namespace: TestNamespace,
    _alone: MutexGuard<'static, ()>,
}

impl Installed {
    pub(super) async fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
        let alone = ALONE.lock().await;
        let start = || async {
            let cluster = Cluster::start(Tier::Api, &[]).await.unwrap();
            define(&cluster).await;
            cluster
        };
        let cluster = CLUSTER.get_or_init(start).await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        let accounts = namespace.api::<ServiceAccount>();
        wait_for("the namespace's service account", LIMIT, || async {
            Ok(accounts.get_opt("default").await?.is_some())
        })
        .await
        .unwrap();
        Self {
            cluster,
            namespace,
            _alone: alone,
        }
    }

    pub(super) fn replica(&self, name: &str, more: &[&str]) -> Replica {
        Replica::start(self.cluster, self.namespace.name(), name, more)
    }

    pub(super) fn hooks(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.client())
    }

    /// Has the API server call these replicas about every pod of the namespace.
    pub(super) async fn call(&self, replicas: &[&Replica]) {
        let webhooks: Vec<_> = replicas
            .iter()
            .map(|replica| self.webhook(replica))
            .collect();
        let hook = json!({"metadata": {"name": NAME}, "webhooks": webhooks});
        let hook = serde_json::from_value(hook).unwrap();
        let _ = self.hooks().delete(NAME, &DeleteParams::default()).await;
        self.hooks()
            .create(&PostParams::default(), &hook)
            .await
            .unwrap();
    }

    fn webhook(&self, replica: &Replica) -> Value {
        json!({
            "name": format!("{}.boboyka.test", replica.name), "admissionReviewVersions": ["v1"],
            "sideEffects": "NoneOnDryRun", "failurePolicy": "Fail", "timeoutSeconds": 5,
            "clientConfig": {"url": format!("https://{}/inject", replica.webhook)},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace.name()}},
            "objectSelector": {"matchExpressions": [{"key": names::JOB_LABEL, "operator": "DoesNotExist"}]},
        })
    }

    /// Creates a pod without our label, and does not keep it: every webhook has to answer.
    pub(super) async fn admit(&self) -> Result<Pod, kube::Error> {
        let pod = json!({"metadata": {"generateName": "p-"},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let pod = serde_json::from_value(pod).unwrap();
        self.namespace.api::<Pod>().create(&dry, &pod).await
    }

    pub(super) async fn admitted(&self) {
        wait_for("the webhooks to answer", LIMIT, || async {
            self.admit().await?;
            Ok(true)
        })
        .await
        .unwrap();
    }

    /// The only replica, once it leads and the API server calls it.
    pub(super) async fn operator(&self, more: &[&str]) -> Replica {
        let replica = self.replica("only", more);
        self.call(&[&replica]).await;
        self.admitted().await;
        replica.leads_within(LIMIT).await;
        replica
    }

    /// The same with an integration that asks for nothing.
    pub(super) async fn operated(&self, more: &[&str]) -> Replica {
        self.integrate().await;
        self.operator(more).await
    }

    /// An integration that asks for nothing.
    async fn integrate(&self) {
        let integration = json!({"metadata": {"name": "boboyka"}, "spec": {}});
        let created = self.namespace.create::<BoboykaIntegration>(integration);
        created.await.unwrap();
    }

    /// A StatefulSet `db` with one pod, which has our label.
    pub(super) async fn stateful_set(&self) {
        let mut template = labelled();
        template["metadata"] =
            json!({"labels": {"app": "db", names::INTEGRATION_LABEL: "boboyka"}});
        let set = json!({"metadata": {"name": "db"}, "spec": {"replicas": 1, "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}}, "template": template}});
        let created = self.namespace.create::<StatefulSet>(set);
        created.await.unwrap();
    }

    /// Deletes a pod as if it had ended already.
    pub(super) async fn end(&self, pod: &str) {
        let now = DeleteParams::default().grace_period(0);
        let pods = self.namespace.api::<Pod>();
        pods.delete(pod, &now).await.unwrap();
    }

    pub(super) async fn strands(&self) -> Vec<BoboykaStrand> {
        let strands = self.namespace.api::<BoboykaStrand>();
        let all = strands.list(&ListParams::default()).await;
        all.unwrap().items
    }

    /// Waits until there is a strand.
    pub(super) async fn strand(&self) -> BoboykaStrand {
        wait_for("a strand", LIMIT, || async {
            Ok(!self.strands().await.is_empty())
        })
        .await
        .unwrap();
        self.strands().await.remove(0)
    }

    /// The path at which the API server calls every replica.
    pub(super) async fn path(&self) -> String {
        let hook = self.hooks().get(NAME).await.unwrap();
        let paths = hook.webhooks.into_iter().flatten().map(|one| {
            let url = one.client_config.url.unwrap();
            url.splitn(4, '/').nth(3).map(|path| format!("/{path}"))
        });
        let mut paths: Vec<Option<String>> = paths.collect();
        paths.dedup();
        assert_eq!(paths.len(), 1, "{paths:?}");
        paths.remove(0).unwrap()
    }

    pub(super) async fn lease(&self) -> LeaseSpec {
        let lease = self.namespace.api::<Lease>().get(NAME).await.unwrap();
        lease.spec.unwrap()
    }

    pub(super) async fn bundles(&self) -> Vec<Vec<u8>> {
        let hook = self.hooks().get(NAME).await.unwrap();
        let webhooks = hook.webhooks.into_iter().flatten();
        webhooks
            .map(|one| one.client_config.ca_bundle.unwrap_or_default().0)
            .collect()
    }
}

async fn define(cluster: &Cluster) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api = Api::<CustomResourceDefinition>::all(cluster.client());
    for definition in boboyka_crds::definitions().unwrap() {
        api.create(&PostParams::default(), &definition)
            .await
            .unwrap();
    }
}

/// A pod with our label.
pub(super) fn labelled() -> Value {
    json!({
        "metadata": {"generateName": "p-", "labels": {names::INTEGRATION_LABEL: "boboyka"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

pub(super) fn holder_of(strand: &BoboykaStrand) -> Option<&str> {
    strand.spec.holder.as_ref()?.pod_uid.as_deref()
}
