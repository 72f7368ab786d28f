//! Where the credentials come from: nowhere, the environment (fixed for the process), an owner that may change
//! them, or a folder with the files `url` and `key` that is read again every second. A folder without one of them switches
//! the mirror off and says why; it never ends the process.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use boboyka_store::causes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::credentials::{Credentials, CredentialsError, VALUE_MAX_BYTES};
use crate::supabase::Supabase;

/// How often the folder is read: a rotated key is in use within a second.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The file with the base URL.
pub const URL_FILE: &str = "url";

/// The file with the key.
pub const KEY_FILE: &str = "key";

/// The file with the certificates of a private authority, which may be missing.
pub(crate) const CA_FILE: &str = "ca.crt";

/// The file with the URL of a proxy, which may be missing.
pub(crate) const PROXY_FILE: &str = "proxy";

/// More than every public authority's certificates together.
const CA_BUNDLE_MAX_BYTES: u64 = 1024 * 1024;

/// Where the credentials come from.
#[derive(Clone, Debug)]
pub enum SupabaseSource {
    /// Not configured.
    Absent,
    /// Configured, but wrongly: nothing is mirrored, and this is why.
    Wrong(Arc<str>),
    /// These, for the life of the process.
    Fixed(Credentials),
    /// A folder, for example a mounted Secret.
    Folder(PathBuf),
    /// What its owner says now.
    Told(watch::Receiver<Told>),
}

/// What the owner of the credentials says: none, these, or what is wrong with them.
pub type Told = Result<Option<Credentials>, Arc<str>>;

/// Whether there is a Supabase to mirror to.
#[derive(Clone, Debug)]
pub(super) enum Configured {
    /// No, and why not, if it was meant to be.
    Off(Option<Arc<str>>),
    /// Yes.
    On(Arc<Supabase>),
}

/// Wakes its owner whenever the credentials change.
#[derive(Clone, Debug)]
pub struct SourceChanges(watch::Receiver<Configured>);

impl SourceChanges {
    pub(crate) fn of(configured: watch::Receiver<Configured>) -> Self {
        Self(configured)
    }

    /// Returns after the next change since this was last asked, or since [`SourceChanges::mark_seen`]; never
    /// once the mirror has ended.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes what is known now for seen.
    pub fn mark_seen(&mut self) {
        self.0.mark_unchanged();
    }
}

/// What is wrong with a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum FolderError {
    #[error("the supabase folder has no file {0}")]
    Missing(&'static str),
    #[error("the file {0} in the supabase folder can't be read: {1}")]
    Unreadable(&'static str, io::ErrorKind),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// Reads the source once, and keeps reading a folder until the shutdown.
pub(super) struct SourceWatch {
    folder: Option<PathBuf>,
    told: Option<watch::Receiver<Told>>,
    last: Option<Result<Credentials, FolderError>>,
    configured: watch::Sender<Configured>,
}

impl SourceWatch {
    /// Reads the source for the first time.
    pub(super) fn new(source: SupabaseSource) -> (Self, watch::Receiver<Configured>) {
        let (configured, receiver) = watch::channel(Configured::Off(None));
        let mut watch = Self {
            folder: None,
            told: None,
            last: None,
            configured,
        };
        match source {
            SupabaseSource::Absent => {}
            SupabaseSource::Wrong(reason) => watch.obey(&Err(reason)),
            SupabaseSource::Fixed(credentials) => watch.adopt(Ok(credentials)),
            SupabaseSource::Folder(path) => {
                watch.adopt(read_folder(&path));
                watch.folder = Some(path);
            }
            SupabaseSource::Told(mut told) => {
                watch.obey(&told.borrow_and_update());
                watch.told = Some(told);
            }
        }
        (watch, receiver)
    }

    /// Looks for changes until the shutdown. A thread of its own looks: the runtime wakes for a change only.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        if let Some(told) = self.told.take() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.listen(told) => {}
            }
        }
        let Some(folder) = self.folder.take() else {
            return shutdown.cancelled().await;
        };
        let (end, ended) = mpsc::channel::<()>();
        let looking = tokio::task::spawn_blocking(move || {
            while ended.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                self.adopt(read_folder(&folder));
            }
        });
        shutdown.cancelled().await;
        drop(end);
        // The thread ends with its channel; a panic of it was logged.
        let _ = looking.await;
    }

    /// Obeys the owner until it has ended.
    async fn listen(&mut self, mut told: watch::Receiver<Told>) {
        while told.changed().await.is_ok() {
            let now = told.borrow_and_update().clone();
            self.obey(&now);
        }
    }

    fn obey(&self, told: &Told) {
        let configured = match told {
            Ok(None) => Configured::Off(None),
            Ok(Some(credentials)) => switch_on(credentials),
            Err(reason) => {
                tracing::warn!(%reason, "the mirror is off: {reason}");
                Configured::Off(Some(Arc::clone(reason)))
            }
        };
        self.configured.send_replace(configured);
    }

    fn adopt(&mut self, read: Result<Credentials, FolderError>) {
        if self.last.as_ref() == Some(&read) {
            return;
        }
        let configured = match &read {
            Ok(credentials) => switch_on(credentials),
            Err(error) => {
                let error = causes(error);
                tracing::warn!(error, "the mirror is off: {error}");
                Configured::Off(Some(error.into()))
            }
        };
        self.last = Some(read);
        self.configured.send_replace(configured);
    }
}

/// A client for what the source says now, for a program that mirrors nothing.
///
/// # Errors
/// Why there is none.
pub(crate) fn client_of(source: SupabaseSource) -> Result<Arc<Supabase>, Arc<str>> {
    let credentials = match source {
        SupabaseSource::Fixed(credentials) => Some(credentials),
        SupabaseSource::Absent => None,
        SupabaseSource::Wrong(reason) => return Err(reason),
        SupabaseSource::Folder(path) => Some(read_folder(&path).map_err(|error| causes(&error))?),
        SupabaseSource::Told(told) => told.borrow().clone()?,
    };
    let credentials = credentials.ok_or("no url and no key are set")?;
    let supabase = Supabase::new(&credentials).map_err(|error| causes(&error))?;
    Ok(Arc::new(supabase))
}

fn switch_on(credentials: &Credentials) -> Configured {
    match Supabase::new(credentials) {
        Ok(supabase) => {
            let url = supabase.origin();
            tracing::info!(url, "the mirror is on: it mirrors to {url}");
            if credentials.is_sent_in_the_clear() {
                tracing::warn!(
                    url,
                    "the supabase url begins with http://: the network can read the key and the records; use https://"
                );
            }
            Configured::On(Arc::new(supabase))
        }
        Err(error) => {
            let reason = causes(&error);
            tracing::error!(error = reason, "the mirror is off: {reason}");
            Configured::Off(Some(error.to_string().into()))
        }
    }
}

fn read_folder(folder: &Path) -> Result<Credentials, FolderError> {
    let url_path = folder.join(URL_FILE);
    let url = read_file(&url_path, URL_FILE)?;
    // A mounted Secret is swapped by one symbolic link, so the key that belongs to this URL lies where
    // the URL's link leads, even if the link is swapped between the two reads.
    let beside = fs::canonicalize(&url_path)
        .ok()
        .map(|path| path.with_file_name(KEY_FILE));
    let key_path = beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| folder.join(KEY_FILE));
    let key = read_file(&key_path, KEY_FILE)?;
    let optional = |name| match read_file(&key_path.with_file_name(name), name) {
        Err(FolderError::Missing(_)) => Ok(None),
        text => text.map(Some),
    };
    let (ca_bundle, proxy) = (optional(CA_FILE)?, optional(PROXY_FILE)?);
    Ok(Credentials::new(&url, &key)?.by_way_of(ca_bundle, proxy))
}

fn read_file(path: &Path, name: &'static str) -> Result<String, FolderError> {
    let unreadable = |error: &io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            FolderError::Missing(name)
        } else {
            FolderError::Unreadable(name, error.kind())
        }
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    // One byte more than allowed, so that `Credentials` sees that it is too long.
    let bound = match name {
        CA_FILE => CA_BUNDLE_MAX_BYTES,
        _ => VALUE_MAX_BYTES as u64 + 1,
    };
    file.take(bound)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(&error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::read_folder;

    #[test]
    fn a_folder_is_read_and_what_it_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |folder: &std::path::Path| read_folder(folder).unwrap_err().to_string();
        assert_eq!(error(folder.path()), "the supabase folder has no file url");
        fs::write(folder.path().join("url"), "https://x.co\n").unwrap();
        assert_eq!(error(folder.path()), "the supabase folder has no file key");
        fs::write(folder.path().join("key"), "").unwrap();
        assert_eq!(error(folder.path()), "the supabase key is empty");
        fs::write(folder.path().join("key"), "k1\n").unwrap();
        let read = read_folder(folder.path()).unwrap();
        assert_eq!((read.url(), read.key()), ("https://x.co", "k1"));
        assert_eq!((read.ca_bundle(), read.proxy()), (None, None));
        fs::write(
            folder.path().join("proxy"),
            "http://u:topsecret@proxy:3128\n",
        )
        .unwrap();
        fs::write(folder.path().join("ca.crt"), "\n").unwrap();
        let read = read_folder(folder.path()).unwrap();
        assert_eq!(read.proxy(), Some("http://u:topsecret@proxy:3128"));
        assert_eq!(read.ca_bundle(), None);
        assert!(!format!("{read:?}").contains("topsecret"));
        fs::write(folder.path().join("key"), [0xff, 0xfe]).unwrap();
        assert!(error(folder.path()).starts_with("the file key in the supabase folder can't be"));
    }

    #[test]
    fn a_secret_swapped_by_its_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        for (version, url, key) in [("..1", "https://a.co", "ka"), ("..2", "https://b.co", "kb")] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("url"), url).unwrap();
            fs::write(folder.path().join(version).join("key"), key).unwrap();
        }
        let data = folder.path().join("..data");
        symlink("..1", &data).unwrap();
        symlink("..data/url", folder.path().join("url")).unwrap();
        symlink("..data/key", folder.path().join("key")).unwrap();
        assert_eq!(read_folder(folder.path()).unwrap().key(), "ka");
        symlink("..2", folder.path().join("..tmp")).unwrap();
        fs::rename(folder.path().join("..tmp"), &data).unwrap();
        let read = read_folder(folder.path()).unwrap();
        assert_eq!((read.url(), read.key()), ("https://b.co", "kb"));
    }
}
