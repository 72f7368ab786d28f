//! How API servers come to trust this replica. It makes an authority and a certificate in memory, publishes the
//! authority's certificate in a ConfigMap, and puts the union of all replicas' authorities into the webhook
//! configuration. No Secret is read or written.
//!
//! What somebody overwrites there is put right again; a configuration that names another namespace is not touched.

mod authority;
mod bundle;
mod hook;
mod rotation;

use std::collections::BTreeMap;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use boboyka_crds::names;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::Context;
use crate::backoff::WatchBackoff;
use crate::shutdown::Shutdown;
pub use authority::AuthorityError;
use bundle::Published;
use rotation::Rotation;

/// The ConfigMap with the replicas' authorities, in the operator's namespace.
pub const AUTHORITIES: &str = "boboyka-operator-authorities";

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Between two writes, however often others change what we wrote.
const PACE: Duration = Duration::from_millis(500);
/// The longest wait after writes that failed.
const PACE_MAX: Duration = Duration::from_secs(8);
/// A request that takes longer has failed.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Why certificates can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// Another operator is installed.
    #[error(
        "the webhook configuration {} belongs to the operator in namespace {namespace}; there is one operator in a cluster",
        names::WEBHOOK
    )]
    Foreign {
        /// Where it is.
        namespace: String,
    },
    /// No authority could be made.
    #[error("could not make an authority")]
    Authority(#[from] AuthorityError),
}

/// A write that failed and is tried again.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("the API server did not answer within {} s", REQUEST_MAX.as_secs())]
    Silent(#[from] tokio::time::error::Elapsed),
}

/// This replica's authorities, and what is known of their way to the API servers.
pub(crate) struct Certificates {
    context: Context,
    maps: Api<ConfigMap>,
    hooks: Api<MutatingWebhookConfiguration>,
    tls: RustlsConfig,
    rotation: Rotation,
    /// What was seen last; `None` before anything was.
    map: Option<BTreeMap<String, String>>,
    hook: Option<MutatingWebhookConfiguration>,
    failures: u32,
    not_before: Instant,
}

impl Certificates {
    /// Makes the first authority, after having made sure that the cluster has no other operator.
    pub(crate) async fn begin(context: Context) -> Result<Self, CertificatesError> {
        let config = &context.config;
        let rotation = Rotation::begin(
            config.serving_names(),
            config.authority_lifetime,
            Timestamp::now(),
        )?;
        let certificates = Self {
            maps: Api::namespaced(context.client.clone(), &config.namespace),
            hooks: Api::all(context.client.clone()),
            tls: RustlsConfig::from_config(rotation.serving().tls.clone()),
            rotation,
            map: None,
            hook: None,
            failures: 0,
            not_before: Instant::now(),
            context,
        };
        certificates.be_the_only_one().await?;
        certificates.tell_expiry();
        Ok(certificates)
    }

    /// What to serve with; it changes while it is served with.
    pub(crate) fn tls(&self) -> RustlsConfig {
        self.tls.clone()
    }

    async fn be_the_only_one(&self) -> Result<(), CertificatesError> {
        loop {
            match timeout(REQUEST_MAX, self.hooks.get_opt(names::WEBHOOK)).await {
                Ok(Ok(None)) => {
                    let name = names::WEBHOOK;
                    tracing::warn!(name, "the webhook configuration {name} is missing; waiting");
                    return Ok(());
                }
                Ok(Ok(Some(hook))) => return self.check_owner(&hook),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "could not read the webhook configuration");
                }
                Err(_) => tracing::warn!("the API server is silent"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn check_owner(&self, hook: &MutatingWebhookConfiguration) -> Result<(), CertificatesError> {
        match hook::other_namespace(hook, &self.context.config.namespace) {
            None => Ok(()),
            Some(namespace) => Err(CertificatesError::Foreign { namespace }),
        }
    }

    /// Keeps API servers trusting this replica until the signal; then others are told that it is gone.
    pub(crate) async fn run(mut self, mut shutdown: Shutdown) -> Result<(), CertificatesError> {
        let mut maps = watcher::watch_object(self.maps.clone(), AUTHORITIES)
            .backoff(WatchBackoff::default())
            .boxed();
        let mut hooks = watcher::watch_object(self.hooks.clone(), names::WEBHOOK)
            .backoff(WatchBackoff::default())
            .boxed();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(change) = maps.next() => match change {
                    Ok(map) => self.map = Some(data(map)),
                    Err(error) => tracing::warn!(%error, "could not watch the ConfigMap {AUTHORITIES}"),
                },
                Some(change) = hooks.next() => match change {
                    Ok(hook) => self.hook = hook,
                    Err(error) => tracing::warn!(%error, "could not watch the webhook configuration"),
                },
                _ = tick.tick() => {}
                () = shutdown.wait() => break,
            }
            self.step().await?;
        }
        self.withdraw().await;
        Ok(())
    }

    /// One look at what was seen and at the clock, and what follows from them.
    async fn step(&mut self) -> Result<(), CertificatesError> {
        if let Some(hook) = &self.hook {
            self.check_owner(hook)?;
        }
        let now = Timestamp::now();
        if self.rotation.renew(self.is_crowded_out(), now)? {
            tracing::info!("a new authority is published");
        }
        let hook = self.hook.as_ref();
        if self
            .rotation
            .switch(|authority| hook::trusts(hook, &authority.pem), now)
        {
            self.tls
                .reload_from_config(self.rotation.serving().tls.clone());
            self.tell_expiry();
            tracing::info!(expires = %self.rotation.serving().expires, "a new certificate is served");
        }
        if Instant::now() >= self.not_before && self.map.is_some() {
            self.write(now).await;
        }
        let serving = self.rotation.serving();
        let trusted = now < serving.expires && hook::trusts(self.hook.as_ref(), &serving.pem);
        self.context.readiness.trusted.set(trusted);
        Ok(())
    }

    /// Whether so many replicas have published newer authorities that there is no room for ours.
    fn is_crowded_out(&self) -> bool {
        self.map.as_ref().is_some_and(|data| {
            let pem = &self.rotation.serving().pem;
            data.get(self.key()) == Some(&self.value()) && !bundle::bundle(data).contains(pem)
        })
    }

    async fn write(&mut self, now: Timestamp) {
        let wait = match self.try_write(now).await {
            Ok(()) => {
                self.failures = 0;
                PACE
            }
            // Another replica wrote in the same moment; what it wrote is seen soon.
            Err(WriteError::Api(kube::Error::Api(status))) if status.is_conflict() => PACE,
            Err(error) => {
                tracing::warn!(%error, "could not tell API servers of the authorities");
                self.failures = self.failures.saturating_add(1);
                let longest = (PACE * 2u32.saturating_pow(self.failures)).min(PACE_MAX);
                longest.mul_f64(0.5 + 0.5 * fastrand::f64())
            }
        };
        self.not_before = Instant::now() + wait;
    }

    /// Publishes what is not yet, and puts the union into the webhook configuration when it is not there.
    async fn try_write(&mut self, now: Timestamp) -> Result<(), WriteError> {
        if let Some(patch) = self.publication(now) {
            self.map = Some(timeout(REQUEST_MAX, self.publish(patch)).await??);
        }
        let Some(hook) = &self.hook else {
            return Ok(());
        };
        if self
            .map
            .as_ref()
            .is_none_or(|data| hook::is_told(hook, data))
        {
            return Ok(());
        }
        // What was watched may be old; the webhook configuration is written from what is.
        let map = timeout(REQUEST_MAX, self.maps.get_opt(AUTHORITIES)).await??;
        let data = data(map);
        if data.contains_key(self.key()) && !hook::is_told(hook, &data) {
            let written = timeout(REQUEST_MAX, self.tell(hook, &data)).await??;
            tracing::info!("the webhook configuration has the replicas' authorities");
            self.hook = Some(written);
        }
        self.map = Some(data);
        Ok(())
    }

    /// What has to change in the ConfigMap, if anything.
    fn publication(&self, now: Timestamp) -> Option<Value> {
        let data = self.map.as_ref()?;
        let mut changes = serde_json::Map::new();
        for key in bundle::outdated(data, now) {
            changes.insert(key.clone(), Value::Null);
        }
        if data.get(self.key()) != Some(&self.value()) {
            changes.insert(self.key().to_owned(), Value::String(self.value()));
        }
        (!changes.is_empty()).then(|| json!({ "data": changes }))
    }

    async fn publish(&self, patch: Value) -> Result<BTreeMap<String, String>, kube::Error> {
        let how = PatchParams {
            field_manager: Some(names::OPERATOR_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patched = self
            .maps
            .patch(AUTHORITIES, &how, &Patch::Merge(patch))
            .await;
        let map = match patched {
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                let mut map = ConfigMap::default();
                map.metadata.name = Some(AUTHORITIES.to_owned());
                map.data = Some([(self.key().to_owned(), self.value())].into());
                self.maps.create(&PostParams::default(), &map).await?
            }
            patched => patched?,
        };
        Ok(data(Some(map)))
    }

    /// Applies the bundle to every webhook of the configuration, if that is still what was seen.
    async fn tell(
        &self,
        hook: &MutatingWebhookConfiguration,
        data: &BTreeMap<String, String>,
    ) -> Result<MutatingWebhookConfiguration, kube::Error> {
        let wish = hook::told(hook, data);
        let how = PatchParams::apply(names::OPERATOR_MANAGER).force();
        self.hooks
            .patch(names::WEBHOOK, &how, &Patch::Apply(wish))
            .await
    }

    /// Takes this replica's authorities out of the ConfigMap.
    async fn withdraw(&self) {
        let patch = Patch::Merge(json!({"data": {self.key(): null}}));
        let how = PatchParams::default();
        let withdrawn = self.maps.patch(AUTHORITIES, &how, &patch);
        match timeout(Duration::from_secs(1), withdrawn).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not withdraw the authorities"),
            Err(_) => tracing::warn!("could not withdraw the authorities in time"),
        }
    }

    /// The replica's key in the ConfigMap. A container that starts again in the same pod takes its predecessor's place.
    fn key(&self) -> &str {
        &self.context.config.pod_name
    }

    /// The replica's value in the ConfigMap.
    fn value(&self) -> String {
        let published = self.rotation.all().map(|authority| Published {
            not_after: authority.expires,
            pem: authority.pem.clone(),
        });
        bundle::value(&published.collect::<Vec<_>>())
    }

    fn tell_expiry(&self) {
        let expires = self.rotation.serving().expires.as_second();
        self.context.metrics.set_certificate_expiry(expires);
    }
}

fn data(map: Option<ConfigMap>) -> BTreeMap<String, String> {
    map.and_then(|map| map.data).unwrap_or_default()
}
