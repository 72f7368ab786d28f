//! The poison: after a failed write or sync the content of the disk is unknown, so the store never
//! acknowledges anything again. The program that runs the store watches for it and ends the process.

use tokio::sync::watch;

/// Set once, never taken back; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Poison(watch::Sender<Option<String>>);

impl Poison {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Poisons the store; the first reason stays.
    pub(crate) fn set(&self, reason: String) {
        self.0.send_if_modified(|state| {
            let first = state.is_none();
            if first {
                tracing::error!(
                    reason,
                    "the store is poisoned: {reason}; it acknowledges nothing until the process restarts"
                );
                *state = Some(reason);
            }
            first
        });
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for the poison and returns its reason.
    pub(crate) async fn wait(&self) -> String {
        let mut state = self.0.subscribe();
        match state.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender lives in `self`, so the channel can't close while this waits.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Held by a thread that must not die unseen: poisons the store when the thread panics.
pub(crate) struct PoisonOnPanic(pub(crate) Poison, pub(crate) &'static str);

impl Drop for PoisonOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .set(format!("the store's {} thread panicked", self.1));
        }
    }
}
