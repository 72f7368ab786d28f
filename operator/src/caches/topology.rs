//! Where volumes lie, and the nodes: what the choice of a strand needs to know, kept by watches of the whole cluster.
//!
//! An operator of one namespace reads neither, and one whose roles don't permit it does without: nothing waits for what
//! the API server refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use boboyka_crds::names;
use k8s_openapi::api::core::v1::{self, NodeSelectorTerm, PersistentVolume};
use kube::runtime::watcher::{Config, watcher};
use tokio::sync::watch::Sender;
use tokio::task::JoinSet;

use super::kept::Kept;
use super::kinds::Meta;
use super::watch::{Scope, fill, in_pages, watched};

/// A node as the caches keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Where volumes lie, and the nodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Topology {
    nodes: Kept<Node>,
    volumes: Kept<Vec<NodeSelectorTerm>>,
    refused: Arc<Sender<bool>>,
}

impl Topology {
    /// Starts the watches; `None` when only one namespace is to be read.
    pub(super) fn start(scope: &Scope, tasks: &mut JoinSet<()>) -> Option<Self> {
        let (nodes, volumes) = (scope.cluster_api()?, scope.cluster_api()?);
        let topology = Self {
            nodes: Kept::default(),
            volumes: Kept::default(),
            refused: Arc::new(Sender::new(false)),
        };
        let refused = || {
            let refused = Arc::clone(&topology.refused);
            move || {
                refused.send_replace(true);
            }
        };
        // Nodes change all the time, and are large: of them only the metadata is asked for.
        let config = || in_pages(Config::default());
        let nodes = watched(watcher(nodes, config()), refused());
        fill(&topology.nodes, nodes, tasks, node, |_, _| {});
        let volumes = watched(watcher(volumes, config()), refused());
        fill(&topology.volumes, volumes, tasks, terms, |_, _| {});
        Some(topology)
    }

    /// Waits until both have been listed, or the API server did not let one be listed.
    pub(super) async fn wait_until_answered(&self) {
        let listed = async {
            self.nodes.wait_until_listed().await;
            self.volumes.wait_until_listed().await;
        };
        let mut refused = self.refused.subscribe();
        tokio::select! {
            () = listed => {}
            // The sender is behind `self`.
            _ = refused.wait_for(|refused| *refused) => {}
        }
    }

    /// Whether both are known: without nodes or volumes nothing can be said.
    pub(super) fn is_known(&self) -> bool {
        self.volumes.is_listed() && self.nodes.is_listed()
    }

    /// The nodes that are wanted.
    pub(crate) fn nodes(&self, wanted: impl Fn(&Node) -> bool) -> Vec<Arc<Node>> {
        self.nodes.select("", wanted)
    }

    /// The nodes where the volume of a strand can be mounted; `None`: on all of them, as far as is known.
    pub(crate) fn terms_of(&self, volume: &str) -> Option<Arc<Vec<NodeSelectorTerm>>> {
        self.volumes.get("", volume)
    }
}

fn node(meta: Meta<v1::Node>) -> Option<Node> {
    let meta = meta.metadata;
    Some(Node {
        name: meta.name?,
        labels: meta.labels.unwrap_or_default(),
    })
}

/// What a strand's volume requires of a node; `None` for other volumes and for one that all nodes can mount.
fn terms(volume: PersistentVolume) -> Option<Vec<NodeSelectorTerm>> {
    let spec = volume.spec?;
    let claim = spec.claim_ref?.name?;
    let required = spec.node_affinity?.required?;
    claim
        .starts_with(names::CLAIM_PREFIX)
        .then_some(required.node_selector_terms)
}
