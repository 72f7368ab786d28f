//! The file with the key of the API: read before the sidecar takes a request, and again while it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use boboyka_store::causes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{Access, ApiKey, KeyError};
use crate::trouble::Trouble;

/// How often the file is read: a rotated key is in force within a second.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A key that follows its file.
pub(crate) struct KeyFile {
    path: PathBuf,
    key: watch::Sender<ApiKey>,
}

impl KeyFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It holds no key. A sidecar without the key that it was told to ask for would be open to all.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let (key, _) = watch::channel(ApiKey::read(path)?);
        let path = path.to_owned();
        Ok(Self { path, key })
    }

    /// What callers must show.
    pub(crate) fn access(&self) -> Access {
        Access::Key(self.key.subscribe())
    }

    /// Reads the file again and again until the shutdown. While it holds no key, the one before stays in force.
    pub(crate) async fn follow(self, shutdown: CancellationToken) {
        let mut trouble =
            Trouble::with("read the key of its API again; the key before stays in force");
        while shutdown
            .run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL))
            .await
            .is_some()
        {
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || ApiKey::read(&path));
            match read.await {
                Ok(Ok(read)) => {
                    trouble.over();
                    self.replace(read);
                }
                Ok(Err(error)) => trouble.is(&causes(&error)),
                Err(error) => trouble.is(&causes(&error)),
            }
        }
    }

    fn replace(&self, read: ApiKey) {
        let changed = self.key.send_if_modified(|now| {
            let changed = *now != read;
            *now = read;
            changed
        });
        if changed {
            tracing::info!("the key of the API has changed");
        }
    }
}
