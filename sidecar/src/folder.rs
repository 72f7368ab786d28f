//! Watches that the data folder stays where it is: files that were unlinked take writes and syncs as ever, and nothing of
//! them is there after a restart.

use std::io::{ErrorKind, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boboyka_store::Store;
use tokio_util::sync::CancellationToken;

/// How often the watch looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Poisons the store when the lock file is no longer the one that this process opened. Ends after `shutdown`.
pub(crate) async fn watch(data_dir: PathBuf, store: Store, shutdown: CancellationToken) {
    let opened = identity(&data_dir);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let Some(change) = change(&opened, &identity(&data_dir)) else {
            continue;
        };
        let folder = data_dir.display();
        store.poison(format!(
            "the data folder {folder} {change} while it was open; put it back, or start again with the right folder"
        ));
        return shutdown.cancelled().await;
    }
}

/// Device and inode of the lock file, which this process keeps open, so that no other file gets the same.
fn identity(data_dir: &Path) -> Result<(u64, u64)> {
    // Not worth a thread's wake: the kernel answers from memory.
    let metadata = std::fs::metadata(data_dir.join("LOCK"))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A disk that fails to answer is no change.
fn change(opened: &Result<(u64, u64)>, now: &Result<(u64, u64)>) -> Option<&'static str> {
    match (opened, now) {
        (Ok(opened), Ok(now)) if opened != now => Some("was replaced"),
        (_, Err(error)) => matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::StaleNetworkFileHandle
        )
        .then_some("was deleted"),
        (_, Ok(_)) => None,
    }
}
