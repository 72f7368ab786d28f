//! The fleet's objects: pods with a sidecar that no node runs, strands that some of them hold, and their first reports.

use boboyka_cluster::TestNamespace;
use boboyka_crds::{BoboykaStrand, names};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::reports::report;
use crate::stage::NAME;

/// Requests side by side.
const SIDE_BY_SIDE: usize = 32;

/// What there is.
#[derive(Default)]
pub(super) struct Fleet {
    pub(super) namespaces: Vec<TestNamespace>,
    /// Strands that a pod holds.
    pub(super) held: Vec<Held>,
    /// Pods of each namespace.
    pods: usize,
}

/// A strand and its holder.
#[derive(Clone)]
pub(super) struct Held {
    /// The number of its namespace.
    pub(super) namespace: usize,
    pub(super) strand: String,
    pub(super) pod_uid: String,
}

impl Fleet {
    /// Grows each namespace to this number of pods and strands. Pods beyond the strands are those that
    /// wait for a node beside a pod that holds their strand.
    pub(super) async fn grow(&mut self, sample: &Value, pods: usize, strands: usize) {
        let numbers = (self.pods..pods)
            .flat_map(|pod| (0..self.namespaces.len()).map(move |namespace| (namespace, pod)));
        let wanted: Vec<_> = numbers.collect();
        let held_before = self.held.len() / self.namespaces.len();
        let namespaces = &self.namespaces;
        let made = wanted.into_iter().map(|(namespace, number)| async move {
            let of = &namespaces[namespace];
            let pod: Pod = of
                .create(pod(sample, number, number % strands))
                .await
                .unwrap();
            pod.uid()
                .map(|pod_uid| (namespace, number, pod_uid))
                .unwrap()
        });
        let made: Vec<_> = futures_util::stream::iter(made)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        self.pods = pods;
        // Strands that are new are held by the pods that are new.
        let first = made.iter().map(|(_, number, _)| *number).min().unwrap();
        let holders = made.into_iter().filter_map(|(namespace, number, pod_uid)| {
            let place = number - first + held_before;
            (place < strands).then_some((namespace, number, place, pod_uid))
        });
        let held = holders.map(|(namespace, number, place, pod_uid)| async move {
            hold(&namespaces[namespace], number, place, &pod_uid).await;
            Held {
                namespace,
                strand: strand_name(place),
                pod_uid,
            }
        });
        let held: Vec<Held> = futures_util::stream::iter(held)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let reported = held
            .iter()
            .map(|held| async { report(&self.namespaces[held.namespace].api(), held, None).await });
        futures_util::stream::iter(reported)
            .buffer_unordered(SIDE_BY_SIDE)
            .collect::<Vec<_>>()
            .await;
        self.held.extend(held);
    }
}

fn strand_name(place: usize) -> String {
    format!("{NAME}-{place}")
}

/// What ties a pod to its strand.
fn token(pod: usize) -> String {
    format!("{pod:08}-8a0b-4a7e-9a53-0e3c5f1a2b3c")
}

fn pod(sample: &Value, number: usize, place: usize) -> Value {
    let image = &sample["metadata"]["annotations"][names::IMAGE_ANNOTATION];
    json!({
        "metadata": {
            "name": format!("agent-{number}"), "labels": sample["metadata"]["labels"],
            "annotations": {
                names::STRAND_ANNOTATION: strand_name(place), names::TOKEN_ANNOTATION: token(number),
                names::IMAGE_ANNOTATION: image,
            },
        },
        "spec": sample["spec"],
    })
}

/// Makes a strand that a pod holds, and its claim. The operator, which sees the pod, may have been faster.
async fn hold(namespace: &TestNamespace, pod: usize, place: usize, pod_uid: &str) {
    let name = strand_name(place);
    let claim = names::claim_of(&name);
    let labels = json!({names::INTEGRATION_LABEL: NAME, names::STRAND_LABEL: name});
    let made = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "labels": labels},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "10Gi"}}},
    });
    let how = PatchParams::apply("bench").force();
    let claims = namespace.api::<PersistentVolumeClaim>();
    claims
        .patch(&claim, &how, &Patch::Apply(made))
        .await
        .unwrap();
    let strand = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand",
        "metadata": {"name": name, "labels": {names::INTEGRATION_LABEL: NAME}},
        "spec": {
            "integration": NAME, "claimName": claim, "workload": "Deployment/agent",
            "holder": {"token": token(pod), "podName": format!("agent-{pod}"), "podUid": pod_uid},
        },
    });
    let strands = namespace.api::<BoboykaStrand>();
    strands
        .patch(&name, &how, &Patch::Apply(strand))
        .await
        .unwrap();
}
