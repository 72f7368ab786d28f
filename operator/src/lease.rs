//! Which replica leads: the one that the Lease names and that keeps renewing it. Writer of the Lease.
//!
//! No wall clock is trusted. A replica takes the Lease from another only after it has seen the record unchanged for the
//! whole duration by its own monotonic clock, and only by replacing exactly that record. A leader that could not renew for
//! two thirds of the duration has lost the Lease, before another replica may take it.

mod terms;

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::coordination::v1::Lease as Record;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::backoff::Waits;
use crate::causes::causes;
use crate::clock;
use terms::{NAME, Step, Terms};

/// The Lease as this replica knows it.
pub(crate) struct Lease {
    api: Api<Record>,
    terms: Terms,
}

impl Lease {
    /// The operator's Lease in a namespace. No other process may have this `identity`.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        identity: String,
        duration: Duration,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            terms: Terms::new(identity, duration),
        }
    }

    /// Returns once this replica leads.
    pub(crate) async fn acquire(&mut self) {
        let mut changes = Box::pin(changes(self.api.clone()));
        loop {
            let limit = self.terms.pace();
            let again = || Instant::now() + jittered(limit);
            let wait = match timeout(limit, self.try_acquire()).await {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(until))) => until,
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = causes(&error),
                        "could not read or take Lease {NAME}; retrying"
                    );
                    again()
                }
                Err(_) => {
                    tracing::warn!(
                        "the API server did not answer about Lease {NAME} in time; retrying"
                    );
                    again()
                }
            };
            // A released Lease is seen at once.
            tokio::select! {
                () = sleep_until(wait) => {}
                Some(()) = changes.next() => {}
            }
        }
    }

    /// `None` when this replica leads now, else when to try again.
    async fn try_acquire(&mut self) -> Result<Option<Instant>, kube::Error> {
        let began = Instant::now();
        let record = self.api.get_opt(NAME).await?;
        let step = self.terms.next(record.as_ref(), Instant::now());
        let wish = self.terms.record(record.as_ref(), clock::now().0);
        let written = match step {
            Step::Wait(until) => return Ok(Some(until)),
            Step::Create => self.api.create(&PostParams::default(), &wish).await,
            Step::Take => self.api.replace(NAME, &PostParams::default(), &wish).await,
        };
        match written {
            Ok(_) => {}
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            }
            Err(error) => return Err(error),
        }
        // The stored record decides, also when an answer was lost.
        let record = self.api.get_opt(NAME).await?;
        if self.terms.is_mine(record.as_ref()) {
            self.terms.renewed(began);
            return Ok(None);
        }
        Ok(Some(Instant::now() + jittered(self.terms.pace())))
    }

    /// Renews the Lease; returns when it is lost, with the reason.
    pub(crate) async fn lost(&mut self) -> String {
        let mut failure: Option<String> = None;
        loop {
            // Sooner after a failure, so that several tries are left.
            let pace = self.terms.pace();
            let wait = failure.as_ref().map_or(pace, |_| pace / 3);
            let now = Instant::now();
            let deadline = self.terms.deadline(now);
            sleep_until((now + wait).min(deadline)).await;
            match timeout_at(deadline, self.renew()).await {
                Ok(Ok(true)) => failure = None,
                Ok(Ok(false)) => return "another replica holds it".to_owned(),
                Ok(Err(error)) => {
                    let error = causes(&error);
                    tracing::warn!(error, "could not renew Lease {NAME}; retrying");
                    failure = Some(error);
                }
                Err(_) => {
                    return failure
                        .unwrap_or_else(|| "the API server did not answer in time".to_owned());
                }
            }
        }
    }

    /// Renews the Lease; false when another replica holds it.
    async fn renew(&mut self) -> Result<bool, kube::Error> {
        let began = Instant::now();
        let record = self.api.get_opt(NAME).await?;
        if record.is_some() && !self.terms.is_mine(record.as_ref()) {
            return Ok(false);
        }
        let wish = self.terms.record(record.as_ref(), clock::now().0);
        let how = PostParams::default();
        match record {
            Some(_) => self.api.replace(NAME, &how, &wish).await?,
            // Somebody deleted it; no other replica creates it before we must know.
            None => self.api.create(&how, &wish).await?,
        };
        self.terms.renewed(began);
        Ok(true)
    }

    /// Releases the Lease, so that another replica leads at once.
    pub(crate) async fn release(self) {
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
            let error = causes(&error);
            tracing::warn!(
                error,
                "could not release Lease {NAME}; it expires by itself"
            );
        }
    }
}

/// One item for each change of the Lease.
fn changes(api: Api<Record>) -> impl Stream<Item = ()> + Send {
    watcher::watch_object(api, NAME)
        .backoff(Waits::of_watch())
        .filter_map(|change| std::future::ready(change.ok().map(drop)))
}

/// A little less than `pace`, at random, so that replicas don't all ask at once.
fn jittered(pace: Duration) -> Duration {
    pace.mul_f64(0.8 + 0.2 * fastrand::f64())
}
