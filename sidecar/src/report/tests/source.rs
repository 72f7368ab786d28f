//! What a report is made of where only a store and a mirror can tell.

use boboyka_cosigning::Cosigned;
use boboyka_crds::LegacyList;
use boboyka_mirror::{Mirror, Settings, SupabaseSource};
use boboyka_store::{Options, Store};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::report::{Source, Wanted};

/// A store, what looks at it, and what ends its lanes.
struct Seen {
    store: Store,
    source: Source,
    shutdown: CancellationToken,
    folder: TempDir,
}

impl Seen {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(folder.path())).unwrap();
        let shutdown = CancellationToken::new();
        let settings = watch::channel(Settings::default()).1;
        let (absent, end) = (SupabaseSource::Absent, shutdown.clone());
        let (mirror, _) = Mirror::start(store.clone(), absent, settings, end);
        let boundary = watch::channel(None).1;
        let cosigned = watch::channel(Cosigned::default()).1;
        let data_dir = folder.path().to_owned();
        let source = Source::new(store.clone(), mirror, boundary, cosigned, data_dir, true);
        Self {
            store,
            source,
            shutdown,
            folder,
        }
    }

    /// The report, where the integration names a Supabase.
    fn status(&mut self) -> StrandStatus {
        let wanted = Wanted {
            has_supabase: true,
            ..Wanted::default()
        };
        self.source.status_now(true, &wanted, &[])
    }

    async fn end(self) {
        self.shutdown.cancel();
        let close = tokio::task::spawn_blocking(move || self.store.close());
        close.await.unwrap();
        self.folder.close().unwrap();
    }
}

fn has_credentials(status: &StrandStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter();
    let found = conditions.find(|it| it.type_ == "CredentialsAccepted")?;
    Some(&found.reason)
}

#[tokio::test]
async fn a_history_mirrors_nothing_and_says_nothing_of_supabase() {
    let mut seen = Seen::new();
    let strand = seen.status();
    assert_eq!(has_credentials(&strand), Some("CredentialsMissing"));
    let told = watch::channel(None).1;
    seen.source = seen.source.with_backfill(told);
    assert_eq!(has_credentials(&seen.status()), None);
    seen.end().await;
}

#[tokio::test]
async fn a_strand_that_never_had_a_list_obeys_one_that_names_nobody_once_not_everything_is_mirrored()
 {
    let mut seen = Seen::new();
    seen.store.set_phase(Phase::DualWrite, 1).await.unwrap();
    assert_eq!(seen.status().legacy, None);
    let next = Phase::MigrateInternals;
    seen.store.set_phase(next, 2).await.unwrap();
    let legacy = seen.status().legacy.unwrap();
    assert_eq!(legacy.digest, LegacyList::default().digest());
    assert_eq!((legacy.since, legacy.migrating), (0, 0));
    seen.end().await;
}
