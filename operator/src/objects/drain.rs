//! The Job that drains a strand: it mirrors the backlog of a strand that no pod holds.

use boboyka_crds::names;
use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use super::labels::labels;
use crate::container::{self, USER};
use crate::integration::Validated;
use crate::strands::held::Held;

/// After this many failures the Job has failed, and stays to be looked at until the next is made.
const BACKOFF_LIMIT: u32 = 6;

/// The Job, whose pod holds the strand. It has no time to live after its end: the pause before the next one counts from
/// there, and the operator deletes it.
pub(crate) fn new(integration: &Validated, held: &Held) -> Option<Job> {
    let context = if integration.assigned_user {
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
    } else {
        json!({
            "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
            "fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch",
        })
    };
    let mut labels = labels(integration);
    labels.insert(names::DRAIN_LABEL.to_owned(), held.strand.clone());
    serde_json::from_value(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name(&held.strand), "namespace": integration.namespace, "labels": labels,
            "annotations": {
                names::TOKEN_ANNOTATION: held.token, names::DRAIN_SETTINGS_ANNOTATION: settings(integration),
            },
            "ownerReferences": [integration.owner],
        },
        "spec": {
            "backoffLimit": BACKOFF_LIMIT,
            // A failing pod must be gone before the next pod opens the strand.
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": labels, "annotations": {
                    names::STRAND_ANNOTATION: held.strand, names::TOKEN_ANNOTATION: held.token,
                    names::IMAGE_ANNOTATION: integration.image,
                }},
                "spec": {
                    "restartPolicy": "OnFailure",
                    "automountServiceAccountToken": false,
                    "securityContext": context,
                    "imagePullSecrets": container::pull_secrets(integration),
                    "containers": [container::drain(integration, &held.strand)],
                    "volumes": container::volumes(integration, &held.strand),
                },
            },
        },
    }))
    .ok()
}

/// A hash of what the Job takes from the integration. A Job with another one is made anew.
pub(crate) fn settings(integration: &Validated) -> String {
    format!("{}-{}", integration.settings(), hash_of(&integration.image))
}

fn hash_of(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    hash.get(..5).unwrap_or_default().to_owned()
}

/// The Job's name; a strand has one at a time.
pub(crate) fn name(strand: &str) -> String {
    // The names of the Job's pods are longer and must fit too.
    let begin: String = strand.chars().take(40).collect();
    format!(
        "boboyka-drain-{}-{}",
        begin.trim_matches('-'),
        hash_of(strand)
    )
}
