//! One signal that ends everything: whoever holds a [`Shutdown`] can ask for it or wait for it. A
//! sender that is dropped counts as the signal, so no task can outlive the process's intent to end.

use tokio::sync::watch;

/// Gives the signal.
#[derive(Debug)]
pub struct ShutdownSender(watch::Sender<bool>);

/// Receives the signal; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A connected pair.
pub fn channel() -> (ShutdownSender, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownSender(sender), Shutdown(receiver))
}

impl ShutdownSender {
    /// Gives the signal; more than once does no harm.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Returns once the signal has been given, at once if it was given before.
    pub async fn wait(&mut self) {
        // The error says that the sender is gone, which is the signal too.
        let _ = self.0.wait_for(|signalled| *signalled).await;
    }

    /// Whether the signal has been given.
    pub fn is_shutdown(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::channel;

    #[tokio::test]
    async fn a_signal_reaches_every_clone_also_those_that_look_later() {
        let (sender, shutdown) = channel();
        let mut clone = shutdown.clone();
        assert!(!shutdown.is_shutdown());
        sender.trigger();
        clone.wait().await;
        assert!(shutdown.is_shutdown());
    }

    #[tokio::test]
    async fn a_dropped_sender_is_a_signal() {
        let (sender, mut shutdown) = channel();
        drop(sender);
        shutdown.wait().await;
        assert!(shutdown.is_shutdown());
    }
}
