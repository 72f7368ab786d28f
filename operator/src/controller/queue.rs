//! The integrations that wait to be looked at, for the metrics.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::caches::Touched;

/// The integrations that wait to be looked at.
#[derive(Default)]
pub(super) struct Queue(Mutex<HashSet<Touched>>);

impl Queue {
    /// Adds an integration; returns the length. Integrations that no longer exist are never looked at, so they go.
    pub(super) fn add(&self, one: &Touched, exists: impl Fn(&Touched) -> bool) -> usize {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(one.clone());
        waiting.retain(exists);
        waiting.len()
    }

    /// Removes an integration; returns the length.
    pub(super) fn remove(&self, one: &Touched) -> usize {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(one);
        waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    #[test]
    fn an_integration_waits_once_until_it_is_looked_at_or_deleted() {
        let queue = Queue::default();
        let (one, two) = (ObjectRef::new("one"), ObjectRef::new("two"));
        assert_eq!(queue.add(&one, |_| true), 1);
        assert_eq!(queue.add(&one, |_| true), 1);
        assert_eq!(queue.add(&two, |_| true), 2);
        assert_eq!(queue.remove(&one), 1);
        assert_eq!(queue.add(&one, |which| which.name != "two"), 1);
    }
}
