//! Signing and cosigning of the strand's log, as tasks.

use std::sync::Arc;

use boboyka_cosigning::Cosigned;
use boboyka_store::{Store, TlogKey};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::checkpoints::Signing;
use crate::cluster::Assignment;
use crate::cosigning::{Cosigning, Witnesses};

/// What signs the strand's log, and who cosigns it.
pub(super) struct Witnessed {
    pub(super) key: TlogKey,
    pub(super) witnesses: Witnesses,
    pub(super) assignment: Option<watch::Receiver<Assignment>>,
}

impl Witnessed {
    /// Has checkpoints signed, and cosigned by witnesses.
    pub(super) fn start(
        self,
        store: &Store,
        tasks: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> watch::Receiver<Cosigned> {
        let (show, shown) = mpsc::channel(1);
        let (published, cosigned) = watch::channel(Cosigned::default());
        let signing = Signing {
            store: store.clone(),
            key: Arc::new(self.key),
            assignment: self.assignment,
            witnesses: self.witnesses.clone(),
            shown,
        };
        let cosigning = Cosigning {
            store: store.clone(),
            witnesses: self.witnesses,
            shown: show,
        };
        tasks.spawn(signing.run(shutdown.clone()).in_current_span());
        let asking = cosigning.run(published, shutdown.clone());
        tasks.spawn(asking.in_current_span());
        cosigned
    }
}
