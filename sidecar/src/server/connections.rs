//! The open connections, their limit, and which of them are idle. A connection is busy from the head of
//! a request to the end of its answer, and while the client has yet to read what the server wrote. For a
//! connection beyond the limit, the one that has been idle longest is closed; a busy one is closed only by a server that
//! spares none, and there each has some time first: else a burst of connections would close a client's before its request
//! was read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// What a connection has where none is spared: longer than a request and its answer take, and so short that those that
/// wait to be accepted do not wait for long.
const GRACE: Duration = Duration::from_millis(200);

/// The server chose the connection to make room, so it begins no further request on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was closed to make room for another")]
pub(super) struct Closed;

/// Which connections a server does not close to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spares {
    /// Those that are busy.
    Busy,
    /// None: the oldest one goes.
    None,
}

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    spares: Spares,
    slots: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// A busy connection became idle.
    became_idle: Notify,
}

/// The idle connections, in the order in which they became idle.
#[derive(Debug, Default)]
struct Idle {
    turn: u64,
    by_turn: BTreeMap<u64, Waiting>,
}

/// A connection that may be closed.
#[derive(Debug)]
struct Waiting {
    closed: CancellationToken,
    since: Instant,
}

impl Connections {
    pub(super) fn new(max: usize, spares: Spares) -> Arc<Self> {
        Arc::new(Self {
            spares,
            slots: Arc::new(Semaphore::new(max)),
            idle: Mutex::default(),
            became_idle: Notify::new(),
        })
    }

    /// Waits for room for one more connection, and closes idle ones until there is some.
    pub(super) async fn admit(self: &Arc<Self>) -> Arc<Connection> {
        loop {
            let became_idle = self.became_idle.notified();
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                return self.connection(slot);
            }
            let grace = self.make_room();
            tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => {
                    // The semaphore is never closed.
                    if let Ok(slot) = slot {
                        return self.connection(slot);
                    }
                }
                () = became_idle => {}
                () = sleep(grace.unwrap_or_default()), if grace.is_some() => {}
            }
        }
    }

    /// Closes the connection that has been idle longest, or says when that may be.
    fn make_room(&self) -> Option<Duration> {
        if self.spares == Spares::None {
            let since = self.lock().by_turn.first_entry()?.get().since;
            let grace = GRACE.saturating_sub(since.elapsed());
            if !grace.is_zero() {
                return Some(grace);
            }
        }
        self.close_longest_idle();
        None
    }

    /// Closes the connection that has been idle longest, if any is idle.
    pub(super) fn close_longest_idle(&self) {
        if let Some((_, longest)) = self.lock().by_turn.pop_first() {
            longest.closed.cancel();
        }
    }

    fn connection(self: &Arc<Self>, slot: OwnedSemaphorePermit) -> Arc<Connection> {
        let closed = CancellationToken::new();
        let turn = self.lock().add(closed.clone());
        Arc::new(Connection {
            connections: Arc::clone(self),
            closed,
            state: Mutex::new(State { holds: 0, turn }),
            _slot: slot,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn add(&mut self, closed: CancellationToken) -> u64 {
        self.turn += 1;
        let since = Instant::now();
        self.by_turn.insert(self.turn, Waiting { closed, since });
        self.turn
    }
}

/// One connection. Dropping it frees its slot.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    closed: CancellationToken,
    state: Mutex<State>,
    _slot: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct State {
    /// How many [`Busy`] exist.
    holds: u32,
    /// Its key in [`Idle::by_turn`] while none exists.
    turn: u64,
}

impl Connection {
    /// Makes the connection busy until the returned value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Result<Busy, Closed> {
        if self.connections.spares == Spares::None {
            let goes_on = !self.closed.is_cancelled();
            return goes_on.then_some(Busy(None)).ok_or(Closed);
        }
        let mut state = self.lock();
        if state.holds == 0
            && self
                .connections
                .lock()
                .by_turn
                .remove(&state.turn)
                .is_none()
        {
            return Err(Closed);
        }
        state.holds += 1;
        Ok(Busy(Some(Arc::clone(self))))
    }

    /// Waits until the connection is chosen to make room.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    fn end(&self) {
        let mut state = self.lock();
        state.holds -= 1;
        if state.holds == 0 {
            state.turn = self.connections.lock().add(self.closed.clone());
            self.connections.became_idle.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let turn = self.lock().turn;
        self.connections.lock().by_turn.remove(&turn);
    }
}

/// Keeps a connection busy while it exists, if busy ones are spared.
#[derive(Debug)]
pub(super) struct Busy(Option<Arc<Connection>>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_one_that_has_been_idle_longest_makes_room_and_a_busy_one_never() {
        let connections = Connections::new(3, Spares::Busy);
        let first = connections.admit().await;
        let second = connections.admit().await;
        let third = connections.admit().await;
        let busy = first.begin().unwrap();
        drop(second.begin().unwrap());
        let mut admitted = Box::pin(connections.admit());
        assert!(admitted.as_mut().now_or_never().is_none());
        assert!(third.closed.is_cancelled(), "it has been idle longest");
        assert!(!first.closed.is_cancelled() && !second.closed.is_cancelled());
        assert_eq!(third.begin().unwrap_err(), Closed);
        drop(third);
        let fourth = admitted.await;
        drop(busy);
        assert!(first.begin().is_ok() && fourth.begin().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_is_spared_the_oldest_makes_room_after_some_time_although_it_is_busy() {
        let connections = Connections::new(2, Spares::None);
        let first = connections.admit().await;
        let busy = first.begin().unwrap();
        let second = connections.admit().await;
        let mut admitted = Box::pin(connections.admit());
        assert!(admitted.as_mut().now_or_never().is_none());
        assert!(
            !first.closed.is_cancelled(),
            "its request may be on its way"
        );
        tokio::time::advance(GRACE).await;
        assert!(admitted.as_mut().now_or_never().is_none());
        assert!(first.closed.is_cancelled() && !second.closed.is_cancelled());
        assert_eq!(first.begin().unwrap_err(), Closed);
        drop((first, busy));
        admitted.await;
    }

    #[tokio::test]
    async fn a_connection_that_becomes_idle_makes_room_for_a_waiting_one() {
        let connections = Connections::new(1, Spares::Busy);
        let only = connections.admit().await;
        let (answer, write) = (only.begin().unwrap(), only.begin().unwrap());
        let mut admitted = Box::pin(connections.admit());
        assert!(admitted.as_mut().now_or_never().is_none());
        drop(answer);
        assert!(admitted.as_mut().now_or_never().is_none());
        assert!(
            !only.closed.is_cancelled(),
            "the client has yet to read what was written"
        );
        drop(write);
        assert!(admitted.as_mut().now_or_never().is_none());
        only.closed().await;
        drop(only);
        admitted.await;
    }
}
