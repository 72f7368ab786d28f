//! Checkpoints of the transparency log: what is durable is signed, what is signed is written and synced, and only then does anybody
//! see it. So no checkpoint is ahead of the strand, none is behind one that was seen, and no size has two.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boboyka_tlog::key::Kind;
use boboyka_tlog::{Checkpoint, Note, SigningKey};
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::TlogError;
use crate::files;
use crate::incarnation::{Incarnation, Signed, origin};
use crate::predecessors::Predecessors;
use crate::tlog::FOLDER;

const CHECKPOINT: &str = "checkpoint";
const KEY: &str = "key";

/// A checkpoint that may be seen.
#[derive(Debug)]
pub struct Published {
    /// Which tree it is of.
    pub checkpoint: Checkpoint,
    /// The checkpoint with the log's signature.
    pub note: Note,
    /// The verifier key, as text.
    pub vkey: String,
    /// The number of the incarnation.
    pub incarnation: u64,
}

/// The signed checkpoints of one strand.
pub(crate) struct Signing {
    folder: PathBuf,
    strand: Uuid,
    signer: Mutex<Signer>,
    published: watch::Sender<Option<Arc<Published>>>,
    pub(crate) predecessors: Predecessors,
}

/// What signs, one checkpoint at a time.
#[derive(Default)]
pub(crate) struct Signer {
    /// What the ledger says.
    pub(crate) incarnation: Option<Incarnation>,
    /// There is none until the transparency log has begun.
    key: Option<SigningKey>,
}

impl Signing {
    pub(crate) fn of(data_dir: &Path, strand: Uuid, incarnation: Option<Incarnation>) -> Self {
        let signer = Signer {
            incarnation,
            key: None,
        };
        Self {
            folder: data_dir.join(FOLDER),
            strand,
            signer: Mutex::new(signer),
            published: watch::Sender::new(None),
            predecessors: Predecessors::of(data_dir),
        }
    }

    /// The newest checkpoint that may be seen, and whatever comes later.
    pub(crate) fn published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.subscribe()
    }

    pub(crate) fn newest(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Signer> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was signed last, and the file that says so.
    pub(crate) fn last(&self) -> io::Result<(Signed, Option<String>)> {
        let text = match fs::read(self.folder.join(CHECKPOINT)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Signed::Nothing, None));
            }
            Err(error) => return Err(error),
        };
        let read = || -> Result<Checkpoint, String> {
            let note: Note = text.parse().map_err(|error| format!("{error}"))?;
            Checkpoint::of_note(&note).map_err(|error| error.to_string())
        };
        let signed = read().map_or_else(Signed::Unreadable, Signed::Checkpoint);
        Ok((signed, Some(text)))
    }

    /// The size that was signed last: a start compares its root with the strand, whatever is pruned until then.
    pub(crate) fn last_size(&self) -> Option<u64> {
        if let Some(newest) = self.newest() {
            return Some(newest.checkpoint.size());
        }
        match self.last() {
            Ok((Signed::Checkpoint(last), _)) => Some(last.size()),
            Ok((Signed::Nothing | Signed::Unreadable(_), _)) | Err(_) => None,
        }
    }

    /// The checkpoint that was signed last, for a reader that does not sign.
    pub(crate) fn last_seen(&self) -> Result<Published, TlogError> {
        let (signed, text) = self.last().map_err(TlogError::File)?;
        let note = text.and_then(|text| text.parse().ok());
        match (signed, note) {
            (Signed::Checkpoint(checkpoint), Some(note)) => Ok(Published {
                checkpoint,
                note,
                vkey: String::new(),
                incarnation: 0,
            }),
            _ => Err(TlogError::NotBegun),
        }
    }

    /// Signs under an incarnation from now on; what was signed last under it is seen again.
    pub(crate) fn begin(
        &self,
        signer: &mut Signer,
        incarnation: Incarnation,
        key: &SigningKey,
        last: Option<(Checkpoint, String)>,
    ) -> Result<(), TlogError> {
        let origin = origin(self.strand, incarnation.number);
        let key = key
            .named(&origin)
            .map_err(|error| TlogError::Key(error.to_string()))?;
        let last = last.filter(|(last, _)| last.origin() == origin);
        let published = last.and_then(|(checkpoint, text)| {
            let note: Note = text.parse().ok()?;
            // One of an earlier key is signed again.
            let own = note.verify(std::slice::from_ref(key.verifier())).ok()?;
            (!own.is_empty()).then(|| Self::see(&key, incarnation.number, checkpoint, note))
        });
        self.published.send_replace(published);
        signer.key = Some(key);
        signer.incarnation = Some(incarnation);
        Ok(())
    }

    /// Signs the empty tree of the first incarnation, and writes it: from now on a file that is missing was lost.
    pub(crate) fn write_first(&self, key: &SigningKey) -> Result<(), TlogError> {
        let origin = origin(self.strand, 1);
        let key = key
            .named(&origin)
            .map_err(|error| TlogError::Key(error.to_string()))?;
        let checkpoint = Checkpoint::new(origin, 0, boboyka_tlog::TreeHash::EMPTY);
        let checkpoint = checkpoint.map_err(|error| TlogError::Key(error.to_string()))?;
        self.write(&checkpoint.sign(&key)).map_err(TlogError::Write)
    }

    /// Signs a tree whose entries are durable, writes the checkpoint, and lets it be seen. An older tree, or the one that
    /// was signed last, is not signed again.
    pub(crate) fn sign(
        &self,
        signer: &Signer,
        size: u64,
        root: boboyka_tlog::TreeHash,
    ) -> Result<Arc<Published>, TlogError> {
        let (Some(key), Some(incarnation)) = (&signer.key, &signer.incarnation) else {
            return Err(TlogError::NotBegun);
        };
        if let Some(newest) = self
            .newest()
            .filter(|newest| newest.checkpoint.size() >= size)
        {
            return Ok(newest);
        }
        let checkpoint = Checkpoint::new(key.verifier().name().to_owned(), size, root);
        let checkpoint = checkpoint.map_err(|error| TlogError::Key(error.to_string()))?;
        let note = checkpoint.sign(key);
        self.write(&note).map_err(TlogError::Write)?;
        let seen = Self::see(key, incarnation.number, checkpoint, note);
        self.published.send_replace(Some(Arc::clone(&seen)));
        Ok(seen)
    }

    fn see(
        key: &SigningKey,
        incarnation: u64,
        checkpoint: Checkpoint,
        note: Note,
    ) -> Arc<Published> {
        Arc::new(Published {
            checkpoint,
            note,
            vkey: key.verifier().to_string(),
            incarnation,
        })
    }

    pub(crate) fn write(&self, note: &Note) -> io::Result<()> {
        files::replace(&self.folder.join(CHECKPOINT), note.to_string().as_bytes())
    }

    /// The key that lies beside the strand; made when it is missing.
    pub(crate) fn own_key(&self) -> Result<SigningKey, TlogError> {
        let path = self.folder.join(KEY);
        match fs::read_to_string(&path) {
            Ok(text) => read_key(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_key(&path),
            Err(error) => Err(TlogError::KeyFile {
                path,
                source: error,
            }),
        }
    }

    fn make_key(&self, path: &Path) -> Result<SigningKey, TlogError> {
        let mut seed = [0; 32];
        let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed);
        filled.map_err(|_| TlogError::Key("the system gives no random bytes".to_owned()))?;
        let name = origin(self.strand, 1);
        let key = SigningKey::from_seed(&name, Kind::Log, seed);
        let key = key.map_err(|error| TlogError::Key(error.to_string()))?;
        let write = || {
            let unfinished = files::unfinished(path);
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = fs::File::options();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&unfinished)?;
            writeln!(file, "{}", key.to_secret_text())?;
            files::put_in_place(&file, &unfinished, path)
        };
        write().map_err(|source| TlogError::KeyFile {
            path: path.to_owned(),
            source,
        })?;
        Ok(key)
    }
}

/// The key in a file's text.
fn read_key(text: &str, path: &Path) -> Result<SigningKey, TlogError> {
    let key = SigningKey::from_secret_text(text.trim_end(), Kind::Log);
    key.map_err(|error| {
        TlogError::Key(format!("the key file {} is wrong: {error}", path.display()))
    })
}

/// The key in a file of the caller's.
///
/// # Errors
/// It can't be read, or is none.
pub(crate) fn key_in(path: &Path) -> Result<SigningKey, TlogError> {
    let text = fs::read_to_string(path).map_err(|source| TlogError::KeyFile {
        path: path.to_owned(),
        source,
    })?;
    read_key(&text, path)
}
