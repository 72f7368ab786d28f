//! How API servers come to trust this replica. It generates a certificate authority and a certificate in memory, publishes
//! the authority in a ConfigMap, and writes the CA bundle of all replicas into the webhook configuration, beside the secret
//! path by which this replica knows API servers. Writer of both. No Secret is read or written.
//!
//! A bundle that somebody overwrites is written again. A configuration of another namespace's operator is not touched.

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
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::admission::paths::Paths;
use crate::backoff::Waits;
use crate::causes::causes;
use crate::clock;
use crate::context::Context;
use crate::writes::{is_conflict, merge_parameters};
use authority::AuthorityError;
use bundle::Published;
use hook::{Pace, Route};
use rotation::Rotation;

/// The ConfigMap with the replicas' authorities, in the operator's namespace.
const AUTHORITIES: &str = "boboyka-operator-authorities";

/// The longest time between two looks at the clock. Certificates that live shortly are looked at more often.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// The time between two writes, however often others overwrite the bundle.
const PACE: Duration = Duration::from_millis(500);
/// The longest wait after failed writes.
const PACE_MAX: Duration = Duration::from_secs(8);
/// The time limit of a request.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Why API servers can't be made to trust this replica.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// Another operator is installed.
    #[error(
        "webhook configuration {} belongs to the operator in namespace {namespace}; there is one operator in a cluster: uninstall one",
        names::WEBHOOK
    )]
    Foreign {
        /// The other operator's namespace.
        namespace: String,
    },
    /// No certificate authority could be generated.
    #[error("could not generate a certificate authority")]
    Authority(#[from] AuthorityError),
}

/// A failed write, which is retried.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("the API server did not answer within {} s", REQUEST_MAX.as_secs())]
    Silent(#[from] tokio::time::error::Elapsed),
}

/// This replica's authorities, and what API servers are known to have of them.
pub(crate) struct Certificates {
    context: Context,
    maps: Api<ConfigMap>,
    hooks: Api<MutatingWebhookConfiguration>,
    tls: RustlsConfig,
    rotation: Rotation,
    /// The ConfigMap's data as last seen; `None` before it was seen.
    map: Option<BTreeMap<String, String>>,
    hook: Option<MutatingWebhookConfiguration>,
    paths: Paths,
    pace: Pace,
    failures: u32,
    not_before: Instant,
}

impl Certificates {
    /// Generates the first authority, and checks that the cluster has no other operator.
    pub(crate) async fn begin(context: Context) -> Result<Self, CertificatesError> {
        let config = &context.config;
        let rotation = Rotation::begin(
            config.serving_names(),
            config.authority_lifetime,
            clock::now().0,
        )?;
        let certificates = Self {
            maps: Api::namespaced(context.client.clone(), &config.namespace),
            hooks: Api::all(context.client.clone()),
            tls: RustlsConfig::from_config(rotation.serving().tls.clone()),
            rotation,
            map: None,
            hook: None,
            paths: Paths::default(),
            pace: Pace::beside(config.authority_lifetime),
            failures: 0,
            not_before: Instant::now(),
            context,
        };
        certificates.be_the_only_one().await?;
        certificates.record_expiry();
        Ok(certificates)
    }

    /// The server's TLS configuration, which changes while it is in use.
    pub(crate) fn tls(&self) -> RustlsConfig {
        self.tls.clone()
    }

    /// The paths by which API servers call, which change while they are in use.
    pub(crate) fn paths(&self) -> Paths {
        self.paths.clone()
    }

    async fn be_the_only_one(&self) -> Result<(), CertificatesError> {
        let mut waits = Waits::between(PACE, PACE_MAX);
        loop {
            match timeout(REQUEST_MAX, self.hooks.get_opt(names::WEBHOOK)).await {
                Ok(Ok(None)) => {
                    let name = names::WEBHOOK;
                    tracing::warn!(
                        webhook = name,
                        "waiting for MutatingWebhookConfiguration {name}, which the chart installs"
                    );
                    return Ok(());
                }
                Ok(Ok(Some(hook))) => return self.check_owner(&hook),
                Ok(Err(error)) => {
                    let (name, error) = (names::WEBHOOK, causes(&error));
                    tracing::warn!(
                        webhook = name,
                        error,
                        "could not read MutatingWebhookConfiguration {name}; retrying"
                    );
                }
                Err(_) => tracing::warn!("the API server did not answer in time; retrying"),
            }
            sleep(waits.next().unwrap_or(PACE_MAX)).await;
        }
    }

    fn check_owner(&self, hook: &MutatingWebhookConfiguration) -> Result<(), CertificatesError> {
        match hook::other_namespace(hook, &self.context.config.namespace) {
            None => Ok(()),
            Some(namespace) => Err(CertificatesError::Foreign { namespace }),
        }
    }

    /// Keeps API servers trusting this replica until the signal, then withdraws its authorities.
    pub(crate) async fn run(
        mut self,
        shutdown: CancellationToken,
    ) -> Result<(), CertificatesError> {
        let mut maps = watcher::watch_object(self.maps.clone(), AUTHORITIES)
            .backoff(Waits::of_watch())
            .boxed();
        let mut hooks = watcher::watch_object(self.hooks.clone(), names::WEBHOOK)
            .backoff(Waits::of_watch())
            .boxed();
        let mut due = Instant::now();
        loop {
            tokio::select! {
                Some(change) = maps.next() => match change {
                    Ok(map) => self.map = Some(data(map)),
                    Err(error) => {
                        let error = causes(&error);
                        tracing::warn!(error, "could not watch ConfigMap {AUTHORITIES}; retrying");
                    }
                },
                Some(change) = hooks.next() => match change {
                    Ok(hook) => self.hook = hook,
                    Err(error) => {
                        let (name, error) = (names::WEBHOOK, causes(&error));
                        tracing::warn!(
                            webhook = name,
                            error,
                            "could not watch MutatingWebhookConfiguration {name}; retrying"
                        );
                    }
                },
                () = sleep_until(due) => {}
                () = shutdown.cancelled() => break,
            }
            due = self.step().await?;
        }
        self.withdraw().await;
        Ok(())
    }

    /// Does what follows from what was seen and from the clock; returns when to look at the clock again.
    async fn step(&mut self) -> Result<Instant, CertificatesError> {
        if let Some(hook) = &self.hook {
            self.check_owner(hook)?;
            self.paths
                .accept(Route::of(hook).paths(), Instant::now().into_std());
        }
        let now = clock::now().0;
        if self.rotation.renew(self.is_crowded_out(), now)? {
            tracing::info!("generated a new certificate authority");
        }
        let hook = self.hook.as_ref();
        if self
            .rotation
            .switch(|authority| hook::trusts(hook, &authority.pem), now)
        {
            self.tls
                .reload_from_config(self.rotation.serving().tls.clone());
            self.record_expiry();
            tracing::info!(expires = %self.rotation.serving().expires, "serving with a new certificate");
        }
        if Instant::now() >= self.not_before && self.map.is_some() {
            self.write(now).await;
        }
        let serving = self.rotation.serving();
        let called = |hook: &MutatingWebhookConfiguration| Route::of(hook).path.is_some();
        let trusted = now < serving.expires
            && hook::trusts(self.hook.as_ref(), &serving.pem)
            && self.hook.as_ref().is_some_and(called);
        self.context.readiness.trusted.set(trusted);
        let (now, look) = (
            Instant::now(),
            look_after(self.context.config.authority_lifetime),
        );
        // A write that had to wait, or that others may have overwritten meanwhile.
        let next_write = Some(self.not_before).filter(|at| *at > now);
        Ok(next_write.unwrap_or(now + look))
    }

    /// Whether the newer authorities of other replicas fill the bundle and leave ours out.
    fn is_crowded_out(&self) -> bool {
        self.map.as_ref().is_some_and(|data| {
            let pem = &self.rotation.serving().pem;
            data.get(self.key()) == Some(&self.value()) && !bundle::bundle(data).contains(pem)
        })
    }

    async fn write(&mut self, now: Timestamp) {
        let wait = match self.try_write(now).await {
            Ok(wrote) => {
                self.failures = 0;
                if !wrote {
                    return;
                }
                PACE
            }
            // Another replica wrote at the same moment; the watch shows what.
            Err(WriteError::Api(error)) if is_conflict(&error) => PACE,
            Err(error) => {
                let error = causes(&error);
                tracing::warn!(
                    error,
                    "could not publish the certificate authorities; retrying"
                );
                self.failures = self.failures.saturating_add(1);
                Waits::between(PACE, PACE_MAX).after(self.failures.saturating_add(1))
            }
        };
        self.not_before = Instant::now() + wait;
    }

    /// Publishes this replica's authorities, and writes bundle and path into the webhook configuration, where either is due;
    /// whether one was.
    async fn try_write(&mut self, now: Timestamp) -> Result<bool, WriteError> {
        let publication = self.publication(now);
        let published = publication.is_some();
        if let Some(patch) = publication {
            self.map = Some(timeout(REQUEST_MAX, self.publish(patch)).await??);
        }
        let Some(hook) = &self.hook else {
            return Ok(published);
        };
        let route = Route::of(hook).step(self.pace, now);
        if self
            .map
            .as_ref()
            .is_none_or(|data| hook::is_as(hook, data, &route))
        {
            return Ok(published);
        }
        // The watched ConfigMap may be old; the bundle is made from the present one.
        let map = timeout(REQUEST_MAX, self.maps.get_opt(AUTHORITIES)).await??;
        let data = data(map);
        if data.contains_key(self.key()) && !hook::is_as(hook, &data, &route) {
            // Before the write: API servers may call while its answer is on the way.
            self.paths.accept(route.paths(), Instant::now().into_std());
            let written = hook::wanted(hook, &data, &route);
            let written = timeout(REQUEST_MAX, self.write_hook(written)).await??;
            tracing::info!(
                "wrote the replicas' CA bundle and their path into the webhook configuration"
            );
            self.hook = Some(written);
        }
        self.map = Some(data);
        Ok(true)
    }

    /// The change that the ConfigMap needs, if any.
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
        let patched = self
            .maps
            .patch(AUTHORITIES, &merge_parameters(), &Patch::Merge(patch))
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

    /// Applies bundle and path to every webhook of the configuration, if it still is as it was seen.
    async fn write_hook(&self, wanted: Value) -> Result<MutatingWebhookConfiguration, kube::Error> {
        let how = PatchParams::apply(names::WEBHOOK_MANAGER).force();
        self.hooks
            .patch(names::WEBHOOK, &how, &Patch::Apply(wanted))
            .await
    }

    /// Removes this replica's authorities from the ConfigMap.
    async fn withdraw(&self) {
        let patch = Patch::Merge(json!({"data": {self.key(): null}}));
        let how = PatchParams::default();
        let withdrawn = self.maps.patch(AUTHORITIES, &how, &patch);
        match timeout(Duration::from_secs(1), withdrawn).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let error = causes(&error);
                tracing::warn!(
                    error,
                    "could not withdraw this replica's certificate authorities"
                );
            }
            Err(_) => tracing::warn!(
                "could not withdraw this replica's certificate authorities: the API server did not answer in time"
            ),
        }
    }

    /// The replica's key in the ConfigMap. A container that restarts in the same pod replaces its predecessor's value.
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

    fn record_expiry(&self) {
        let expires = self.rotation.serving().expires.as_second();
        self.context.metrics.set_certificate_expiry(expires);
    }
}

/// The time between two looks at the clock, beside authorities of this lifetime.
fn look_after(lifetime: Duration) -> Duration {
    (lifetime / 40).clamp(PACE, LOOK_MAX)
}

fn data(map: Option<ConfigMap>) -> BTreeMap<String, String> {
    map.and_then(|map| map.data).unwrap_or_default()
}
