//! Writes an integration's status, and the Events that its change makes. Writer of both.

use boboyka_crds::{BoboykaIntegration, IntegrationStatus, Lists, names};
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, Recorder, Reporter};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::json;

use super::error::Error;
use super::news::{events, is_news_each_time};
use crate::causes::causes;
use crate::writes::is_outdated;

/// Writes statuses and Events.
pub(super) struct Publisher {
    client: Client,
    reporter: Reporter,
    recorder: Recorder,
}

impl Publisher {
    /// `instance` is this replica's name, for its Events.
    pub(super) fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: format!("{}/operator", names::GROUP),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter.clone()),
            reporter,
            client,
        }
    }

    /// Writes a status in place of the one before; whether it was written. An integration that is gone or changed since
    /// it was read is not written to: the change brings the next look.
    pub(super) async fn publish(
        &self,
        integration: &BoboykaIntegration,
        before: &IntegrationStatus,
        status: &IntegrationStatus,
        lists: &Lists,
    ) -> Result<bool, Error> {
        match self.write(integration, status).await {
            Ok(()) => {}
            Err(error) if is_outdated(&error) => return Ok(false),
            Err(error) => return Err(Error::Publish(Box::new(error))),
        }
        let reference = integration.object_ref(&());
        for event in events(before, status, lists) {
            // The condition still tells what a lost Event would have told.
            if let Err(error) = self.recorder(&event).publish(&event, &reference).await {
                let (namespace, name) = (integration.namespace(), integration.name_any());
                tracing::warn!(
                    namespace,
                    integration = name,
                    reason = event.reason,
                    error = causes(&error),
                    "could not write Event {} of BoboykaIntegration {name}",
                    event.reason
                );
            }
        }
        Ok(true)
    }

    /// A recorder counts an Event of a reason that it has told within minutes, and keeps the note of the first. What happened is
    /// news each time.
    fn recorder(&self, event: &Event) -> Recorder {
        if is_news_each_time(event) {
            return Recorder::new(self.client.clone(), self.reporter.clone());
        }
        self.recorder.clone()
    }

    async fn write(
        &self,
        integration: &BoboykaIntegration,
        status: &IntegrationStatus,
    ) -> Result<(), kube::Error> {
        let (name, namespace) = (integration.name_any(), integration.namespace());
        let wanted = json!({
            "apiVersion": BoboykaIntegration::api_version(&()), "kind": BoboykaIntegration::kind(&()),
            // With the version that was read: a status decided on an older status must not undo a newer one.
            "metadata": {
                "name": name, "uid": integration.metadata.uid,
                "resourceVersion": integration.metadata.resource_version,
            },
            "status": status,
        });
        let api: Api<BoboykaIntegration> =
            Api::namespaced(self.client.clone(), &namespace.unwrap_or_default());
        let parameters = PatchParams::apply(names::OPERATOR_MANAGER).force();
        api.patch_status(&name, &parameters, &Patch::Apply(&wanted))
            .await
            .map(drop)
    }
}
