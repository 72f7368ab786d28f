//! The Jobs that work on strands that no pod holds: one drains a strand, which is to mirror its backlog, and one fills the
//! history.

use boboyka_crds::names;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use serde_json::json;

use super::labels::labels;
use crate::container::{self, DATA_DIR, USER};
use crate::integration::Validated;
use crate::strands::held::Held;

/// After this many failures the Job has failed, and stays to be looked at until the next is made.
const BACKOFF_LIMIT: u32 = 6;

/// What a Job does on its strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Mirrors the backlog.
    Drain,
    /// Imports what was in Supabase before.
    Backfill,
}

impl Work {
    /// What is done on a strand: the history is filled, and every other strand drained.
    pub(crate) fn on(strand: &str, integration: &str) -> Self {
        if strand == names::history_of(integration) {
            Self::Backfill
        } else {
            Self::Drain
        }
    }

    /// What a Job of this integration does; `None` for a Job that names no strand.
    pub(crate) fn of(job: &Job, integration: &str) -> Option<Self> {
        let strand = job.labels().get(names::JOB_LABEL)?;
        Some(Self::on(strand, integration))
    }

    /// The command of the sidecar's image, with its arguments. An admission policy admits these and no others.
    pub(crate) const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Drain => &["drain"],
            Self::Backfill => &["backfill", "--data-dir", DATA_DIR],
        }
    }

    /// Whether it serves the health port.
    const fn listens(self) -> bool {
        matches!(self, Self::Drain)
    }
}

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
    let work = Work::on(&held.strand, &integration.name);
    let mut labels = labels(integration);
    labels.insert(names::JOB_LABEL.to_owned(), held.strand.clone());
    serde_json::from_value(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name(work, &held.strand), "namespace": integration.namespace, "labels": labels,
            "annotations": {
                names::TOKEN_ANNOTATION: held.token, names::JOB_SETTINGS_ANNOTATION: settings(integration, work),
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
                    "containers": [container::of_job(integration, &held.strand, work.arguments(), work.listens())],
                    "volumes": container::volumes(integration, &held.strand),
                },
            },
        },
    }))
    .ok()
}

/// A hash of what the Job takes from the integration. A Job with another one is made anew.
pub(crate) fn settings(integration: &Validated, work: Work) -> String {
    let given = format!(
        "{}-{}",
        integration.job_settings(),
        hash_of(&integration.image)
    );
    match work {
        Work::Drain => given,
        Work::Backfill => {
            let asked = json!([integration.backfill(), integration.tables]).to_string();
            format!("{given}-{}", hash_of(&asked))
        }
    }
}

fn hash_of(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    hash.get(..5).unwrap_or_default().to_owned()
}

/// The Job's name; a strand has one at a time.
pub(crate) fn name(work: Work, strand: &str) -> String {
    let command = work.arguments().first().copied().unwrap_or_default();
    // The names of the Job's pods are longer and must fit too.
    let begin: String = strand.chars().take(40).collect();
    let (begin, hash) = (begin.trim_matches('-'), hash_of(strand));
    format!("boboyka-{command}-{begin}-{hash}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::integration::tests::validated;

    fn made(strand: &str, spec: &Value) -> Value {
        let held = Held {
            strand: strand.to_owned(),
            token: "t".to_owned(),
        };
        serde_json::to_value(new(&validated(spec), &held).unwrap()).unwrap()
    }

    #[test]
    fn the_history_is_filled_and_every_other_strand_is_drained() {
        let spec = json!({"supabase": {"secretRef": {"name": "s"}}, "migration": {"backfill": {}}});
        let (drain, fill) = (made("boboyka-0", &spec), made("boboyka-history", &spec));
        assert_eq!(drain["metadata"]["name"], "boboyka-drain-boboyka-0-3872e");
        let name = fill["metadata"]["name"].as_str().unwrap();
        assert!(
            name.starts_with("boboyka-backfill-boboyka-history-"),
            "{name}"
        );
        let container = |job: &Value| job["spec"]["template"]["spec"]["containers"][0].clone();
        let (drain, fill) = (container(&drain), container(&fill));
        assert_eq!(drain["args"], json!(["drain"]));
        assert_eq!(
            fill["args"],
            json!(["backfill", "--data-dir", "/var/lib/boboyka/strand"])
        );
        assert!(drain["livenessProbe"].is_object() && fill["livenessProbe"].is_null());
        assert!(fill["ports"].is_null());
    }

    #[test]
    fn what_is_asked_of_a_backfill_is_a_setting_of_its_job_alone() {
        let with = |backfill: Value| {
            let spec = json!({"supabase": {"secretRef": {"name": "s"}}, "migration": {"backfill": backfill}});
            let validated = validated(&spec);
            [Work::Drain, Work::Backfill].map(|work| settings(&validated, work))
        };
        let [drain, fill] = with(json!({}));
        let [drain_then, fill_then] = with(json!({"tables": ["audit_log"]}));
        assert_eq!(drain, drain_then);
        assert_ne!(fill, fill_then);
    }

    #[test]
    fn the_policy_admits_the_commands_of_the_jobs_and_no_others() {
        let policy =
            include_str!("../../../charts/boboyka-operator/templates/policies/drains.yaml");
        for work in [Work::Drain, Work::Backfill] {
            let arguments = work.arguments().join("', '");
            assert!(policy.contains(&format!("['{arguments}']")), "{arguments}");
        }
    }
}
