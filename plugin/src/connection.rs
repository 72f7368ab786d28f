//! The connection to the API server, from the same flags as kubectl's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use boboyka_crds::quantity;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::reading::{Reader, Scope};

/// Which cluster, as whom, and where in it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Connection {
    /// Kubeconfig file. Default: `KUBECONFIG`, then ~/.kube/config, then the service account of the pod.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Cluster of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    cluster: Option<String>,
    /// User of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// Namespace of the agents. Default: that of the context.
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    impersonate: Option<String>,
    /// Group to impersonate; can be given several times.
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        requires = "impersonate"
    )]
    groups: Vec<String>,
    /// UID to impersonate.
    #[arg(
        long = "as-uid",
        global = true,
        value_name = "UID",
        requires = "impersonate"
    )]
    uid: Option<String>,
    /// How long one request to the API server may take, such as `30s`; `0s` means without a limit.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = limit)]
    request_timeout: Duration,
}

/// A duration on the command line.
pub(crate) fn limit(text: &str) -> Result<Duration, String> {
    quantity::duration(text)
        .ok_or_else(|| format!("{text:?} is not a duration such as 500ms, 30s or 10m"))
}

impl Connection {
    /// Reads the kubeconfig and makes a client. Sends nothing yet.
    ///
    /// # Errors
    /// There is no kubeconfig, or it can't be used.
    pub(crate) async fn open(&self) -> Result<Reader> {
        let config = self.config().await?;
        let scope = match (&self.namespace, self.all_namespaces) {
            (_, true) => Scope::All,
            (Some(name), _) if name.is_empty() => {
                bail!("--namespace is empty: name a namespace, or use --all-namespaces")
            }
            (Some(name), _) => Scope::One(name.clone()),
            (None, _) => Scope::One(config.default_namespace.clone()),
        };
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)
            .with_context(|| format!("could not make a client for the cluster at {server}"))?;
        let wait = Some(self.request_timeout).filter(|wait| !wait.is_zero());
        Ok(Reader::new(client, scope, wait, server))
    }

    async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        };
        let is_chosen = self.context.is_some() || self.cluster.is_some() || self.user.is_some();
        let mut config = match &self.kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file)
                    .with_context(|| format!("--kubeconfig: could not use {}", file.display()))?;
                Config::from_custom_kubeconfig(read, &options).await?
            }
            None if is_chosen => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await.context(
                "no cluster: there is neither a kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config) nor a pod's service account",
            )?,
        };
        config.connect_timeout = Some(self.request_timeout).filter(|wait| !wait.is_zero());
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.groups.clone());
            config.auth_info.impersonate_uid.clone_from(&self.uid);
        }
        Ok(config)
    }
}
