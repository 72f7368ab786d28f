//! The sidecar's place in a cluster: it watches its own integration and its own strand, nothing else.
//!
//! Whatever the API server does, the sidecar goes on: what it knows counts until the API server says otherwise. No
//! connectivity, a refusal, a resource or its definition that is gone: each is logged once and tried again for ever.

mod assignment;
mod backoff;
mod client;
mod resource;
#[cfg(test)]
mod tests;
mod watch;

use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use kube::Client;
use tokio::sync::watch::{Receiver, Sender, channel};

pub(crate) use self::assignment::{Assignment, Claim};
pub(crate) use self::backoff::Backoff;
pub(crate) use self::client::reason;
pub(crate) use self::resource::integration as read;

use crate::config::Membership;
use crate::integration::Integration;
use crate::trouble::Trouble;
use tokio_util::sync::CancellationToken;

/// What is known of the cluster, kept up to date.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) membership: Membership,
    pub(crate) integration: Receiver<Integration>,
    pub(crate) assignment: Receiver<Assignment>,
    /// None until there are credentials.
    pub(crate) client: Receiver<Option<Client>>,
}

/// The watching half.
pub(crate) struct ClusterWatch {
    membership: Membership,
    integration: Sender<Integration>,
    assignment: Sender<Assignment>,
    client: Sender<Option<Client>>,
}

impl Cluster {
    /// Both halves; nothing is known yet.
    pub(crate) fn new(membership: Membership) -> (Self, ClusterWatch) {
        let (to_integration, integration) = channel(Integration::unknown());
        let (to_assignment, assignment) = channel(Assignment::default());
        let (to_client, client) = channel(None);
        let watch = ClusterWatch {
            membership: membership.clone(),
            integration: to_integration,
            assignment: to_assignment,
            client: to_client,
        };
        let cluster = Self {
            membership,
            integration,
            assignment,
            client,
        };
        (cluster, watch)
    }

    /// Returns once this pod is known to hold the strand, so that the next report is taken.
    pub(crate) async fn held(&self) {
        let own = Some(&self.membership.pod_uid);
        let mut assignment = self.assignment.clone();
        // An error says that the watch is gone, which only a shutdown does.
        let _ = assignment
            .wait_for(|it| it.holder_uid.as_ref() == own)
            .await;
    }

    /// Returns once this pod, which held the strand, is known to hold it no longer.
    pub(crate) async fn holder_lost(&self) {
        self.held().await;
        let own = Some(&self.membership.pod_uid);
        let mut assignment = self.assignment.clone();
        let lost = assignment.wait_for(|it| it.holder_uid.as_ref() != own);
        if lost.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the API server has said anything new since the last call.
    pub(crate) fn heard(&mut self) -> bool {
        // A watch that ended says nothing new.
        let integration = self.integration.has_changed().unwrap_or(false);
        let assignment = self.assignment.has_changed().unwrap_or(false);
        self.integration.mark_unchanged();
        self.assignment.mark_unchanged();
        integration || assignment
    }
}

impl ClusterWatch {
    /// Watches until the signal.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        let client = client::connect().await;
        self.client.send_replace(Some(client.clone()));
        let (namespace, own) = (&self.membership.namespace, &self.membership);
        let mut unread = Trouble::with("read all of the integration");
        let integration = watch::follow::<BoboykaIntegration>(
            client.clone(),
            namespace,
            &own.integration,
            Trouble::with("watch the integration"),
            |object| self.adopt_integration(&object.data, &mut unread),
        );
        let strand = watch::follow::<BoboykaStrand>(
            client,
            namespace,
            &own.strand,
            Trouble::with("watch the strand's resource"),
            |object| self.adopt_assignment(object.metadata.generation, &object.data),
        );
        tokio::join!(integration, strand);
    }

    fn adopt_integration(&self, object: &serde_json::Value, unread: &mut Trouble) {
        let known = self.integration.borrow().clone();
        let (read, complaints) = resource::integration(object, &known);
        if complaints.is_empty() {
            unread.over();
        } else {
            unread.is(&complaints.join("; "));
        }
        if read != known {
            let phase = read.in_force.map(|force| force.phase.as_str());
            let generation = read.in_force.map(|force| force.generation);
            tracing::info!(
                phase,
                generation,
                transition = read.transition,
                "the sidecar read the integration: its settings have changed"
            );
            self.integration.send_replace(read);
        }
    }

    fn adopt_assignment(&self, generation: Option<i64>, object: &serde_json::Value) {
        let read = resource::assignment(generation, object);
        self.assignment.send_if_modified(|known| {
            if known.holder_uid != read.holder_uid {
                let held = read.holder_uid.as_ref() == Some(&self.membership.pod_uid);
                tracing::info!(
                    held,
                    holder = read.holder_uid,
                    "the sidecar read its strand's resource: the holder has changed"
                );
            }
            let new = *known != read;
            *known = read;
            new
        });
    }
}
