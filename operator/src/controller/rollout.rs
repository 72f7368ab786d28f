//! The rollout of another image to running sidecars, in place. Pure.
//!
//! The image of a native sidecar may change in a running pod, and only its container restarts. One pod moves at a time,
//! and a sidecar that does not become ready stops the rollout.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::seen::Seen;
use crate::caches::Pod;
use crate::clock::elapsed;
use crate::integration::Validated;

/// A sidecar that is not ready with its new image within this time has failed.
const LIMIT: Duration = Duration::from_mins(2);

/// Where a rollout stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Every sidecar runs the image that the integration asks for.
    Done,
    /// This pod is next; `left` sidecars, this one included, run another image.
    Next {
        pod: String,
        uid: String,
        left: usize,
    },
    /// This pod is being moved; `apply` asks whether its sidecar is ready.
    Moving {
        pod: String,
        uid: String,
        left: usize,
    },
    /// This pod's sidecar was not ready in time; if it becomes ready after all, the rollout goes on.
    Stopped {
        pod: String,
        uid: String,
        left: usize,
    },
    /// `left` sidecars run another image, and nothing may change.
    Suspended { left: usize },
}

/// The next step of the rollout.
pub(super) fn next(validated: &Validated, seen: &Seen, now: &Time) -> Rollout {
    let pods = seen.pods.iter().map(|pod| &**pod);
    let sidecars = pods.filter(|pod| pod.image.is_some() && !pod.terminating && !pod.of_job);
    let (current, mut behind): (Vec<&Pod>, Vec<&Pod>) =
        sidecars.partition(|pod| pod.image.as_deref() == Some(validated.image.as_str()));
    let left = behind.len();
    if left > 0 && validated.suspended {
        return Rollout::Suspended { left };
    }
    if let Some(moving) = current.iter().find(|pod| pod.updating_since.is_some()) {
        let since = moving.updating_since.as_ref();
        let late = since.is_some_and(|since| elapsed(since, now) > LIMIT);
        let (pod, uid) = (moving.name.clone(), moving.uid.clone());
        return if late {
            Rollout::Stopped { pod, uid, left }
        } else {
            Rollout::Moving { pod, uid, left }
        };
    }
    // A pod that an earlier rollout left half moved comes first: its sidecar may be down.
    behind.sort_by_key(|pod| (pod.updating_since.is_none(), pod.name.clone()));
    behind.first().map_or(Rollout::Done, |pod| Rollout::Next {
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        left,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::integration::tests::validated;

    fn pod(name: &str, image: &str, since: Option<i64>) -> Pod {
        Pod {
            name: name.to_owned(),
            uid: format!("u-{name}"),
            strand: Some(name.into()),
            token: Some("t".to_owned()),
            image: Some(image.into()),
            updating_since: since.map(at),
            ..Pod::default()
        }
    }

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn step(pods: Vec<Pod>, suspend: bool) -> Rollout {
        let seen = Seen {
            pods: pods.into_iter().map(Arc::new).collect(),
            ..Seen::default()
        };
        let integration = validated(&json!({"sidecar": {"image": "new"}, "suspend": suspend}));
        next(&integration, &seen, &at(1000))
    }

    #[test]
    fn pods_are_moved_one_by_one() {
        let next = step(
            vec![
                pod("a", "new", None),
                pod("b", "old", None),
                pod("c", "old", None),
            ],
            false,
        );
        assert!(
            matches!(next, Rollout::Next { ref pod, left: 2, .. } if pod == "b"),
            "{next:?}"
        );
        let next = step(
            vec![pod("b", "new", Some(990)), pod("c", "old", None)],
            false,
        );
        assert!(
            matches!(next, Rollout::Moving { ref pod, left: 1, .. } if pod == "b"),
            "{next:?}"
        );
        assert_eq!(step(vec![pod("a", "new", None)], false), Rollout::Done);
    }

    #[test]
    fn one_failure_stops_it_and_going_back_mends_the_failed_pod_first() {
        let next = step(
            vec![pod("b", "new", Some(800)), pod("c", "old", None)],
            false,
        );
        assert!(
            matches!(next, Rollout::Stopped { ref pod, left: 1, .. } if pod == "b"),
            "{next:?}"
        );
        let next = step(
            vec![pod("a", "old", None), pod("b", "bad", Some(800))],
            false,
        );
        assert!(
            matches!(next, Rollout::Next { ref pod, .. } if pod == "b"),
            "{next:?}"
        );
    }

    #[test]
    fn nothing_moves_while_suspended() {
        assert_eq!(
            step(vec![pod("a", "old", None)], true),
            Rollout::Suspended { left: 1 }
        );
    }
}
