//! What every command that opens the strand does: open it, listen, close it.

use std::path::Path;
use std::sync::Arc;

use boboyka_mirror::{BackfillError, SupabaseSource};
use boboyka_store::{OpenError, Options, Store, TlogError, TlogKey, causes};
use boboyka_tlog::Policy;
use boboyka_tlog::policy::Party;
use tokio_util::sync::CancellationToken;

use crate::api::{Access, Api, KeyError};
use crate::archive::ArchiveOptions;
use crate::config::{self, Strand};
use crate::health;
use crate::server::listen::{ListenAddress, Listeners};
use crate::server::{self, Clients};
use crate::standalone;
use crate::traces::Traces;
use crate::upkeep::{Outside, Upkeep};

/// Why the sidecar ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The strand could not be opened.
    #[error("could not open the strand")]
    Open(#[from] OpenError),
    /// An address could not be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// Why not.
        source: std::io::Error,
    },
    /// The key that was given can't be read.
    #[error("could not read the key of --log-key-file")]
    LogKey(#[from] TlogError),
    /// The policy with the witnesses can't be used.
    #[error("could not use the policy of --witnesses: {0}")]
    Witnesses(String),
    /// The environment names only a part of its place in a cluster.
    #[error("the environment is incomplete")]
    Membership(#[from] config::HalfMember),
    /// The file with the API's key has none.
    #[error("could not read the key of the API (--api-key-file)")]
    ApiKey(#[from] KeyError),
    /// Both a cluster and a file say what to do.
    #[error(
        "this sidecar has its integration from its cluster: leave --integration and {} away",
        config::INTEGRATION_FILE
    )]
    TwoIntegrations,
    /// A backfill ended before it was done.
    #[error(transparent)]
    Backfill(#[from] BackfillError),
    /// What a backfill is told by files is wrong.
    #[error("{0}")]
    BackfillPlan(String),
    /// A signal ended a backfill.
    #[error(
        "a signal ended the backfill before it was done; what was imported so far is kept: run it again to go on"
    )]
    BackfillInterrupted,
    /// A signal ended it before it had mirrored everything.
    #[error(
        "a signal ended the sidecar before it had mirrored everything; start it again to go on"
    )]
    Interrupted,
    /// Another pod than this one holds the strand now.
    #[error(
        "this pod no longer holds the strand: the pod that holds it goes on with what is not mirrored, and a new Job does so if no pod comes"
    )]
    HolderLost,
    /// A write failed, or the data folder is gone; only a restart can find out what the disk holds.
    #[error("the store stopped: {0}")]
    Poisoned(String),
    /// A listener or the mirror ended by itself; the log says why.
    #[error("a task of the sidecar ended early; the log says why")]
    TaskEnded,
}

/// What the sidecar has to do with others, by flags and environment.
pub(crate) fn outside(strand: &Strand) -> Result<Outside, RunError> {
    let membership = config::membership()?;
    if membership.is_some() && strand.integration.is_some() {
        return Err(RunError::TwoIntegrations);
    }
    let tables = standalone::tables(strand.mirror_tables.as_deref());
    let supabase = match &tables {
        Ok(_) => standalone::supabase(strand.supabase_dir.as_deref()),
        // Rows must not go to other tables than the file was to name.
        Err(reason) => SupabaseSource::Wrong(reason.as_str().into()),
    };
    let key = strand.log_key_file.as_deref();
    let key = key.map_or(Ok(TlogKey::Own), TlogKey::read)?;
    Ok(Outside {
        supabase,
        key,
        witnesses: witnesses(strand)?,
        tables: tables.unwrap_or_default(),
        membership,
        file: strand.integration.clone(),
        archive: ArchiveOptions::of(&strand.archive, config::archive_secrets()),
    })
}

/// The witnesses of the policy that the command line names.
fn witnesses(strand: &Strand) -> Result<Vec<Party>, RunError> {
    let Some(path) = &strand.witnesses else {
        return Ok(Vec::new());
    };
    let wrong = |error: &dyn std::error::Error| {
        RunError::Witnesses(format!("{}: {}", path.display(), causes(error)))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let policy: Policy = text.parse().map_err(|error| wrong(&error))?;
    Ok(policy.witnesses)
}

/// Opens the strand, and records in it what opening quarantined.
pub(crate) async fn open(strand: &Strand) -> Result<Store, RunError> {
    open_folder(&strand.data_dir, strand.min_free_bytes).await
}

/// The same for a strand that nobody serves.
pub(crate) async fn open_folder(data_dir: &Path, min_free_bytes: u64) -> Result<Store, RunError> {
    let options = Options {
        min_free_bytes,
        ..Options::new(data_dir)
    };
    let store = Store::open(options)?;
    if let Err(error) = store.record_quarantined().await {
        let error = causes(&error);
        tracing::error!(
            error,
            "could not record in the strand what lies in quarantine; the next start tries again"
        );
    }
    Ok(store)
}

/// Serves the health port.
pub(crate) async fn serve_health(
    strand: &Strand,
    store: &Store,
    upkeep: &mut Upkeep,
    access: Access,
    traces: Traces,
    shutdown: &CancellationToken,
) -> Result<Arc<Api>, RunError> {
    let listeners = listen(&strand.observe).await?;
    let (mirror, end) = (upkeep.mirror.clone(), shutdown.clone());
    let api = Api::new(
        store.clone(),
        mirror,
        access,
        end,
        upkeep.cosigned.clone(),
        upkeep.standing.clone(),
        traces,
    );
    let api = Arc::new(api.with_archive(upkeep.archived.clone()));
    let router = health::router(Arc::clone(&api));
    upkeep.spawn(server::serve(
        listeners,
        router,
        Clients::Observers,
        shutdown.clone(),
    ));
    Ok(api)
}

pub(crate) async fn close(store: Store) {
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    debug_assert!(closed.is_ok(), "closing does not panic");
}

pub(crate) async fn listen(address: &ListenAddress) -> Result<Listeners, RunError> {
    address.listen().await.map_err(|source| RunError::Listen {
        address: address.clone(),
        source,
    })
}
