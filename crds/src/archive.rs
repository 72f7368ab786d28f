//! Where the strands of an integration are archived, and how that stands.
//!
//! The doc comments become the text of `kubectl explain`.

mod place;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::place::{Place, PlaceError};
use crate::quantity::duration;

/// A record that waits for longer is not archived in any sense.
const AFTER_MAX: Duration = Duration::from_hours(8760);
/// A strand is behind when its archive is as late as this beyond `after`.
const LATE: Duration = Duration::from_mins(10);

/// Where the strands are archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// The archive, as `s3://BUCKET/PREFIX`. Each strand has a folder of its own below it, named by its UUID. It has no user,
    /// password, query or fragment. A folder of one machine, `file:///FOLDER`, is for a sidecar without a cluster only.
    #[schemars(length(min = 1, max = 1024))]
    pub url: String,
    /// The Secret that says how the archive is reached: keys such as `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID` and
    /// `AWS_SECRET_ACCESS_KEY`. The kubelet mounts it into the sidecars; the operator never reads it. Sidecars use a changed
    /// Secret within about two minutes, without a restart. Pods start even if the Secret does not exist yet. Adding, removing or
    /// renaming it takes effect in pods that are created afterwards. Default: the web identity of the pod's service account,
    /// or the role of its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ArchiveSecret>,
    /// How old a record may get before the segment with it is sealed and archived. A duration of up to `8760h`, such as `15m`.
    /// Default: `1h`.
    #[serde(default = "after")]
    #[schemars(length(max = 32))]
    pub after: String,
}

/// Refers to a Secret whose keys are named as the variables `AWS_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveSecret {
    /// Name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret_ref: None,
            after: after(),
        }
    }
}

impl Archive {
    /// The name of its Secret, if it has one.
    pub fn secret(&self) -> Option<&str> {
        let secret = self.secret_ref.as_ref();
        secret.map(|secret| secret.name.as_str())
    }
}

fn after() -> String {
    "1h".to_owned()
}

/// How old a record may get before it is archived, as flags and integrations spell it; `None` for any other text.
pub fn archive_after(text: &str) -> Option<Duration> {
    duration(text).filter(|after| *after <= AFTER_MAX)
}

/// How the archive of a strand stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveReport {
    /// The archive that the sidecar writes to. Empty while it can't read `spec.archive.url` of the integration.
    #[serde(default)]
    pub url: String,
    /// Sequence number up to which the archive holds every record, as this sidecar has seen; 0 before it has seen anything.
    /// Retention prunes nothing behind it.
    #[serde(default)]
    pub archived_seq: i64,
    /// Time of the last upload of this sidecar. Absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Time>,
    /// Number of segments that are due and not known to be in the archive.
    #[serde(default)]
    pub waiting_segments: i64,
    /// Time at which the oldest record in these segments was appended. Absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// Why the strand can't be archived, as a code: `settings`, `unreachable`, `busy`, `refused`, `missing`, `conflict`,
    /// `damaged`, `unmounted` or `failed`. Absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl ArchiveReport {
    /// Whether records wait for far longer than `after`, at the time of the report.
    pub fn is_behind(&self, after: Duration, reported_at: &Time) -> bool {
        let Some(since) = &self.waiting_since else {
            return false;
        };
        let waited = reported_at.0.duration_since(since.0);
        Duration::try_from(waited).is_ok_and(|waited| waited > after.saturating_add(LATE))
    }
}

/// How the archive of an integration stands, in numbers of strands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveCounts {
    /// Held strands that can't be archived.
    #[serde(default)]
    pub failing: i32,
    /// Held strands with a record that is due for longer than ten minutes and not archived, and no failure.
    #[serde(default)]
    pub behind: i32,
    /// Held strands whose sidecars have not reported of this archive: they are about to, or of a version that archives nothing.
    #[serde(default)]
    pub unknown: i32,
    /// Strands that no pod holds, with records that are not known to be archived. They are archived once a pod holds them again.
    #[serde(default)]
    pub unheld: i32,
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn a_strand_is_behind_when_what_is_due_waits_for_ten_minutes_more() {
        let waiting = |since| ArchiveReport {
            waiting_since: Some(at(since)),
            ..ArchiveReport::default()
        };
        let hour = Duration::from_hours(1);
        let now = at(10_000);
        assert!(!ArchiveReport::default().is_behind(hour, &now));
        assert!(!waiting(10_000 - 4200).is_behind(hour, &now));
        assert!(waiting(10_000 - 4201).is_behind(hour, &now));
        assert!(!waiting(20_000).is_behind(hour, &now), "a clock went back");
        assert!(!waiting(0).is_behind(Duration::MAX, &now));
    }

    #[test]
    fn the_time_is_a_duration_of_up_to_a_year() {
        assert_eq!(archive_after("0s"), Some(Duration::ZERO));
        assert_eq!(archive_after("8760h"), Some(AFTER_MAX));
        for text in ["8760h1ms", "1d", "", "-1h"] {
            assert_eq!(archive_after(text), None, "{text}");
        }
    }
}
