//! The sidecar's place in a cluster: it watches its own integration and its own strand, nothing else.
//!
//! Whatever the API server does, the sidecar goes on: what is known counts until something else is heard. No
//! connectivity, a refusal, a resource or its definition that is gone: each is logged once and tried again for ever.

mod assignment;
mod backoff;
mod client;
mod read;
#[cfg(test)]
mod tests;
mod trouble;
mod watch;

use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use kube::Client;
use tokio::sync::watch::{Receiver, Sender, channel};

pub(crate) use self::assignment::Assignment;
pub(crate) use self::backoff::Backoff;
pub(crate) use self::trouble::{Trouble, reason};

use crate::config::Membership;
use crate::integration::Integration;
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

    /// Whether something new was heard from the API server since this was asked last.
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
            |object| self.adopt_integration(object, &mut unread),
        );
        let strand = watch::follow::<BoboykaStrand>(
            client,
            namespace,
            &own.strand,
            Trouble::with("watch the strand's resource"),
            |object| self.adopt_assignment(object),
        );
        tokio::join!(integration, strand);
    }

    fn adopt_integration(&self, object: &serde_json::Value, unread: &mut Trouble) {
        let known = self.integration.borrow().clone();
        let (heard, complaints) = read::integration(object, &known);
        if complaints.is_empty() {
            unread.over();
        } else {
            unread.is(&complaints.join("; "));
        }
        if heard != known {
            let phase = heard.in_force.map(|force| force.phase.as_str());
            let generation = heard.in_force.map(|force| force.generation);
            tracing::info!(
                phase,
                generation,
                transition = heard.transition,
                "the integration has changed"
            );
            self.integration.send_replace(heard);
        }
    }

    fn adopt_assignment(&self, object: &serde_json::Value) {
        let heard = read::assignment(object);
        self.assignment.send_if_modified(|known| {
            if known.holder_uid != heard.holder_uid {
                let held = heard.holder_uid.as_ref() == Some(&self.membership.pod_uid);
                tracing::info!(
                    held,
                    holder = heard.holder_uid,
                    "the strand's holder has changed"
                );
            }
            let new = *known != heard;
            *known = heard;
            new
        });
    }
}
