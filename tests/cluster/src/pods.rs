//! What a test does in a cluster: a namespace of its own, pods, commands in them, their logs and ports.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{AttachParams, DeleteParams, ListParams, LogParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// How long a pod may take, on a busy machine.
const POD_LIMIT: Duration = Duration::from_mins(5);

/// A namespace of one test.
#[expect(
    missing_debug_implementations,
    reason = "the client has nothing to show"
)]
pub struct TestNamespace {
    client: Client,
    name: String,
}

impl TestNamespace {
    /// Makes one in a cluster.
    pub async fn new(client: Client) -> Result<Self> {
        let name = format!("test-{:08x}", fastrand::u32(..));
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(Self { client, name })
    }

    /// Makes one in a foreign cluster, named by a kubeconfig.
    pub async fn in_foreign_cluster(kubeconfig: &Path) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self::new(crate::cluster::client_of(kubeconfig).await?).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind's objects in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates an object from JSON.
    pub async fn create<K>(&self, object: Value) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        Ok(self
            .api::<K>()
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?)
    }

    /// The one pod with a label `app` that is ready and not going away.
    pub async fn ready_pod(&self, app: &str) -> Result<Pod> {
        let wanted = ListParams::default().labels(&format!("app={app}"));
        let begun = Instant::now();
        loop {
            // The API server may be away on purpose.
            let found = self.api::<Pod>().list(&wanted).await;
            let found = found.map(|list| list.items).unwrap_or_default();
            if let Some(pod) = found.iter().find(|pod| is_ready(pod)) {
                return Ok(pod.clone());
            }
            if begun.elapsed() > POD_LIMIT {
                let seen: Vec<Value> = found.iter().map(|pod| json!(pod.status)).collect();
                bail!("no pod of {app} is ready: {seen:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs a command in a container; what it printed. Fails as it fails.
    pub async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String> {
        let parameters = AttachParams::default()
            .container(container)
            .stdout(true)
            .stderr(true);
        let mut process = self
            .api::<Pod>()
            .exec(pod, command.to_vec(), &parameters)
            .await?;
        let status = process
            .take_status()
            .context("the status was not taken yet")?;
        let (mut printed, mut complained) = (String::new(), String::new());
        let mut stdout = process.stdout().context("stdout was asked for")?;
        let mut stderr = process.stderr().context("stderr was asked for")?;
        tokio::try_join!(
            stdout.read_to_string(&mut printed),
            stderr.read_to_string(&mut complained)
        )?;
        let status = status.await.context("the command's end was not told")?;
        ensure!(
            status.status.as_deref() == Some("Success"),
            "{command:?}: {status:?} {printed} {complained}"
        );
        Ok(printed)
    }

    /// What a container has printed.
    pub async fn logs(&self, pod: &str, container: &str) -> Result<String> {
        let parameters = LogParams {
            container: Some(container.to_owned()),
            ..LogParams::default()
        };
        Ok(self.api::<Pod>().logs(pod, &parameters).await?)
    }

    /// A connection to a port of a pod's loopback.
    pub async fn port_forward(
        &self,
        pod: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let mut forwarder = self.api::<Pod>().portforward(pod, &[port]).await?;
        forwarder
            .take_stream(port)
            .context("the port was asked for")
    }

    /// Deletes a pod; without grace its containers are killed at once.
    pub async fn delete_pod(&self, pod: &str, with_grace: bool) -> Result<()> {
        let parameters = if with_grace {
            DeleteParams::default()
        } else {
            DeleteParams::default().grace_period(0)
        };
        self.api::<Pod>().delete(pod, &parameters).await?;
        Ok(())
    }
}

impl Drop for TestNamespace {
    /// Asks for its deletion; nobody waits for it.
    fn drop(&mut self) {
        let (client, name) = (self.client.clone(), self.name.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                Api::<Namespace>::all(client)
                    .delete(&name, &DeleteParams::default())
                    .await
            });
        }
    }
}

/// Asks until the answer is yes; fails with a sentence after a while.
pub async fn wait_for<F: Future<Output = Result<bool>>>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < limit,
            "{what}: not within {limit:?}; last: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|list| {
        list.iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    });
    ready && pod.meta().deletion_timestamp.is_none() && !pod.name_any().is_empty()
}
