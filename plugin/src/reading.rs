//! Questions to the API server: each ends in time, and a refusal names what was asked.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::refusal::{Asked, Refusal};

/// Objects in one answer of a list.
const PAGE: u32 = 500;

/// Which namespaces a command looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One.
    One(String),
    /// All of them.
    All,
}

impl Scope {
    /// The namespace; empty for all.
    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::One(name) => name,
            Self::All => "",
        }
    }
}

/// Asks the API server.
#[derive(Clone)]
pub(crate) struct Reader {
    client: Client,
    scope: Scope,
    limit: Option<Duration>,
    server: String,
}

impl Reader {
    /// `limit` is the time that a request may take.
    pub(crate) fn new(
        client: Client,
        scope: Scope,
        limit: Option<Duration>,
        server: String,
    ) -> Self {
        Self {
            client,
            scope,
            limit,
            server,
        }
    }

    /// Which namespaces the command looks at.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The client.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The URL of the API server.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The one namespace of a command that works in one.
    pub(crate) fn one_namespace(&self) -> anyhow::Result<&str> {
        match &self.scope {
            Scope::One(name) => Ok(name),
            Scope::All => anyhow::bail!(
                "--all-namespaces: this command works in one namespace; name it with --namespace"
            ),
        }
    }

    /// All objects of a kind in the scope.
    pub(crate) async fn list<K>(&self) -> Result<Vec<K>, Refusal>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        self.list_in(&self.scope, &ListParams::default()).await
    }

    /// Some objects of a kind in a scope.
    pub(crate) async fn list_in<K>(
        &self,
        scope: &Scope,
        which: &ListParams,
    ) -> Result<Vec<K>, Refusal>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = match scope {
            Scope::One(name) => Api::namespaced(self.client(), name),
            Scope::All => Api::all(self.client()),
        };
        self.pages(api, scope.namespace(), which).await
    }

    /// All objects of a kind that belongs to the whole cluster.
    pub(crate) async fn list_whole<K>(&self) -> Result<Vec<K>, Refusal>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.pages(Api::all(self.client()), "", &ListParams::default())
            .await
    }

    async fn pages<K>(
        &self,
        api: Api<K>,
        namespace: &str,
        which: &ListParams,
    ) -> Result<Vec<K>, Refusal>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let mut found = Vec::new();
        let mut page = which.clone().limit(PAGE);
        loop {
            let asked = asked::<K>("list", namespace, "");
            let list = self.ask(asked, api.list(&page)).await?;
            found.extend(list.items);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = which.clone().limit(PAGE).continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// One object.
    pub(crate) async fn get<K>(&self, namespace: &str, name: &str) -> Result<K, Refusal>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        self.ask(asked::<K>("get", namespace, name), api.get(name))
            .await
    }

    /// One object of the whole cluster.
    pub(crate) async fn get_whole<K>(&self, name: &str) -> Result<K, Refusal>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all(self.client());
        self.ask(asked::<K>("get", "", name), api.get(name)).await
    }

    /// Changes one object by a merge patch; the object as it then is, or would be in a dry run.
    pub(crate) async fn merge<K>(
        &self,
        namespace: &str,
        name: &str,
        change: &Value,
        dry_run: bool,
    ) -> Result<K, Refusal>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
    {
        let api: Api<K> = Api::namespaced(self.client(), namespace);
        let parameters = PatchParams {
            dry_run,
            field_manager: Some("kubectl-boboyka".to_owned()),
            ..PatchParams::default()
        };
        let change = Patch::Merge(change);
        let request = api.patch(name, &parameters, &change);
        self.ask(asked::<K>("patch", namespace, name), request)
            .await
    }

    /// Waits for an answer, for as long as a request may take.
    pub(crate) async fn ask<T>(
        &self,
        asked: Asked,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Refusal> {
        let answer = match self.limit {
            None => request.await,
            Some(limit) => match tokio::time::timeout(limit, request).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(Refusal::Late {
                        asked,
                        seconds: limit.as_secs(),
                    });
                }
            },
        };
        answer.map_err(|error| Refusal::of(asked, &error))
    }
}

/// What is asked about a kind.
pub(crate) fn asked<K: Resource<DynamicType = ()>>(
    verb: &'static str,
    namespace: &str,
    name: &str,
) -> Asked {
    let (plural, group) = (K::plural(&()), K::group(&()));
    Asked {
        verb,
        resource: if group.is_empty() {
            plural.into_owned()
        } else {
            format!("{plural}.{group}")
        },
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
