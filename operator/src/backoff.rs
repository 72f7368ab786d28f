//! How long a watch waits before it is tried again: as kube's own do, but never so long that a replica would still know
//! nothing half a minute after an API server is back. Replicas are few, so none needs to be spared them.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The waits of one watch.
#[derive(Default)]
pub(crate) struct WatchBackoff(DefaultBackoff);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(WAIT_MAX))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::{WAIT_MAX, WatchBackoff};

    #[test]
    fn waits_grow_up_to_five_seconds_and_never_end() {
        let waits: Vec<_> = WatchBackoff::default().take(50).collect();
        assert_eq!(waits.len(), 50);
        assert!(waits[0] < WAIT_MAX && waits[49] == WAIT_MAX);
        assert!(waits.iter().all(|wait| *wait <= WAIT_MAX));
    }
}
