//! Which replica leads: the one whose name is in the Lease and who keeps renewing it.
//!
//! Nobody's wall clock is trusted. A replica takes the Lease from another only after it has seen the record unchanged
//! for the whole duration by its own monotonic clock, and only by replacing exactly that record. A leader that could
//! not renew for two thirds of the duration has lost it, before anybody may take it.

mod terms;

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::coordination::v1::Lease as Record;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::backoff::WatchBackoff;
use terms::{Step, Terms};

/// The Lease's name, in the operator's namespace.
pub const NAME: &str = "boboyka-operator";

/// The Lease as this replica knows it.
pub struct Lease {
    api: Api<Record>,
    terms: Terms,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.terms).finish()
    }
}

impl Lease {
    /// The Lease of the operator in a namespace. `identity` must be this process's alone.
    pub fn new(client: Client, namespace: &str, identity: String, duration: Duration) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            terms: Terms::new(identity, duration),
        }
    }

    /// Returns once this replica leads.
    pub async fn acquire(&mut self) {
        let mut changes = Box::pin(changes(self.api.clone()));
        loop {
            let limit = self.terms.pace();
            let again = || Instant::now() + jittered(limit);
            let wait = match timeout(limit, self.try_acquire()).await {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(until))) => until,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "could not ask for the Lease {NAME}");
                    again()
                }
                Err(_) => {
                    tracing::warn!("the API server is silent about the Lease {NAME}");
                    again()
                }
            };
            // A Lease that is released is seen at once.
            tokio::select! {
                () = sleep_until(wait) => {}
                Some(()) = changes.next() => {}
            }
        }
    }

    /// `None` when this replica leads now, or else when to try again.
    async fn try_acquire(&mut self) -> Result<Option<Instant>, kube::Error> {
        let began = Instant::now();
        let record = self.api.get_opt(NAME).await?;
        let step = self.terms.next(record.as_ref(), Instant::now());
        let wish = self.terms.record(record.as_ref(), jiff::Timestamp::now());
        let written = match step {
            Step::Wait(until) => return Ok(Some(until)),
            Step::Create => self.api.create(&PostParams::default(), &wish).await,
            Step::Take => self.api.replace(NAME, &PostParams::default(), &wish).await,
        };
        match written {
            Ok(_) => {}
            // Another was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            }
            Err(error) => return Err(error),
        }
        // What is stored decides, also when an answer was lost.
        let record = self.api.get_opt(NAME).await?;
        if self.terms.is_mine(record.as_ref()) {
            self.terms.renewed(began);
            return Ok(None);
        }
        Ok(Some(Instant::now() + jittered(self.terms.pace())))
    }

    /// Renews the Lease; returns when it is lost, with the reason.
    pub async fn lost(&mut self) -> String {
        let mut failure: Option<String> = None;
        loop {
            // After a failure sooner, so that there are some tries left.
            let pace = self.terms.pace();
            let wait = failure.as_ref().map_or(pace, |_| pace / 3);
            let deadline = self.terms.deadline();
            sleep_until((Instant::now() + wait).min(deadline)).await;
            match timeout_at(deadline, self.renew()).await {
                Ok(Ok(true)) => failure = None,
                Ok(Ok(false)) => return "another replica holds it".to_owned(),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "could not renew the Lease {NAME}");
                    failure = Some(error.to_string());
                }
                Err(_) => return failure.unwrap_or_else(|| "the API server is silent".to_owned()),
            }
        }
    }

    /// Whether it is still ours, and renewed.
    async fn renew(&mut self) -> Result<bool, kube::Error> {
        let began = Instant::now();
        let record = self.api.get_opt(NAME).await?;
        if record.is_some() && !self.terms.is_mine(record.as_ref()) {
            return Ok(false);
        }
        let wish = self.terms.record(record.as_ref(), jiff::Timestamp::now());
        let how = PostParams::default();
        match record {
            Some(_) => self.api.replace(NAME, &how, &wish).await?,
            // Somebody deleted it; nobody else makes it before we must know.
            None => self.api.create(&how, &wish).await?,
        };
        self.terms.renewed(began);
        Ok(true)
    }

    /// Gives it back, so that another replica leads at once.
    pub async fn release(self) {
        let released = async {
            let record = self.api.get(NAME).await?;
            if self.terms.is_mine(Some(&record)) {
                let free = terms::released(&record);
                self.api
                    .replace(NAME, &PostParams::default(), &free)
                    .await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "could not release the Lease {NAME}; it runs out by itself");
        }
    }
}

/// One item for each change of the Lease.
fn changes(api: Api<Record>) -> impl Stream<Item = ()> + Send {
    watcher::watch_object(api, NAME)
        .backoff(WatchBackoff::default())
        .filter_map(|change| std::future::ready(change.ok().map(drop)))
}

/// Somewhat less, so that replicas don't all come at once.
fn jittered(pace: Duration) -> Duration {
    pace.mul_f64(0.8 + 0.2 * fastrand::f64())
}
