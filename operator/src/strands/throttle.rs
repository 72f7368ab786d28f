//! Bounds the strands that admission reserves in a namespace: whoever creates pods there costs the API server a write for
//! each, and takes strands that other pods could have.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Reservations that may come at once.
const BURST: u32 = 200;
/// The time after which one more may come: twice as fast as a controller creates pods.
const PACE: Duration = Duration::from_millis(25);

/// When each namespace has used up its reservations so far. A namespace that is far from that is not kept.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<String, Instant>>);

impl Throttle {
    /// Counts a reservation in a namespace; false if it has to wait.
    pub(super) fn admit(&self, namespace: &str, now: Instant) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| *until > now);
        let until = used.get(namespace).copied().unwrap_or(now);
        let room = until.saturating_duration_since(now) < PACE * BURST;
        if room {
            used.insert(namespace.to_owned(), until + PACE);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_waits_after_a_burst_and_the_others_do_not() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..BURST {
            assert!(throttle.admit("a", now));
        }
        assert!(!throttle.admit("a", now) && throttle.admit("b", now));
        assert!(throttle.admit("a", now + PACE) && !throttle.admit("a", now + PACE));
        let later = now + PACE * BURST * 2;
        assert!(throttle.admit("a", later));
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }
}
