//! Caches as a test wants them.

use kube::runtime::reflector::store;
use kube::runtime::watcher::Event;

use super::*;

impl Caches {
    /// Caches with these strands and pods, which no watch changes.
    pub(crate) fn with(strands: Vec<BoboykaStrand>, pods: Vec<v1::Pod>) -> Self {
        let caches = Self {
            integrations: store().0,
            strands: Kept::default(),
            pods: Kept::default(),
            claims: Kept::default(),
            jobs: store().0,
            workloads: Workloads {
                deployments: store().0,
                stateful_sets: store().0,
                daemon_sets: store().0,
                cron_jobs: store().0,
            },
            lists: Lists::default(),
            topology: None,
            changes: Changes::default(),
            synced: Arc::new(Sender::new(true)),
        };
        for strand in strands {
            caches.strands.follow(Event::Apply(strand), Some);
        }
        let words = Words::default();
        for pod in pods {
            let read = |pod: v1::Pod| Some(Pod::of(pod.metadata, &words));
            caches.pods.follow(Event::Apply(pod), read);
        }
        caches
    }
}
