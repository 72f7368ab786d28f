//! Checking a strand: one that is open, and one that no process has open.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use boboyka_strand::Head;
use boboyka_tlog::key::Kind;
use boboyka_tlog::{Note, SigningKey};

use super::handle::Store;
use crate::error::{OpenError, causes};
use crate::files::failed;
use crate::options::Options;
use crate::quarantine::quarantined_in;
use crate::tlog::FOLDER;
use crate::verify::{self, Verdict};

impl Store {
    /// Re-hashes every block that was in the strand when the check began, from the floor on. `progress`
    /// is called with the block that the check has reached, and may end it; then the verdict covers what was checked.
    /// Blocking.
    pub fn verify(&self, progress: impl FnMut(Head) -> ControlFlow<()>) -> Verdict {
        verify::verify(&self.shared, progress)
    }
}

/// Checks a strand that no process has open, on a copy of its tail: the data folder is only read.
///
/// # Errors
/// When a process has it open, or it can't be read. A chain that breaks is a verdict, not an error.
pub fn verify_offline(
    data_dir: &Path,
    progress: impl FnMut(Head) -> ControlFlow<()>,
) -> Result<Verdict, OpenError> {
    on_copy(data_dir, |store, copy| {
        let fresh = quarantined_in(copy)
            .into_iter()
            .nth(quarantined_in(data_dir).len());
        let mut verdict = store.verify(progress);
        let found = fresh.map(|set_aside| (verdict.head.seq + 1, set_aside.reason));
        let found = found.or_else(|| Some((verdict.head.seq, tlog_as_found(data_dir, copy)?)));
        if let (true, Some((seq, why))) = (verdict.ok, found) {
            verdict.ok = false;
            verdict.broken_seq = Some(seq);
            verdict.reason = Some(why);
        }
        // The copy is gone when this is read.
        let there = data_dir.display().to_string();
        let reason = verdict.reason.take();
        verdict.reason = reason.map(|why| why.replace(&copy.display().to_string(), &there));
        verdict
    })
}

/// Opens a copy of a strand that no process has open; the data folder is only read.
pub(super) fn on_copy<T>(
    data_dir: &Path,
    work: impl FnOnce(&Store, &Path) -> T,
) -> Result<T, OpenError> {
    Store::check_unused(data_dir)?;
    let copy = std::env::temp_dir().join(format!("boboyka-verify-{}", uuid::Uuid::new_v4()));
    let done = copy_folder(data_dir, &copy).and_then(|()| {
        let store = Store::open(Options {
            min_free_bytes: 0,
            ..Options::new(&copy)
        })?;
        let done = work(&store, &copy);
        store.close();
        Ok(done)
    });
    if let Err(error) = fs::remove_dir_all(&copy) {
        let folder = copy.display().to_string();
        let error = causes(&error);
        tracing::warn!(
            error,
            folder,
            "could not remove the copy of the strand in {folder}"
        );
    }
    done.map_err(|error| error.in_folder(&copy, data_dir))
}

/// What is wrong with the files of the transparency log, where opening the copy has mended them.
fn tlog_as_found(data_dir: &Path, copy: &Path) -> Option<String> {
    let read = |folder: &Path, name| fs::read(folder.join(FOLDER).join(name)).ok();
    let (found, mended) = (
        read(data_dir, "tree")?,
        read(copy, "tree").unwrap_or_default(),
    );
    if !mended.starts_with(&found) {
        let why = "the chain holds, but the file of the transparency log's tree is damaged; the next start mends it";
        return Some(why.to_owned());
    }
    let note: Note = String::from_utf8(read(data_dir, "checkpoint")?)
        .ok()?
        .parse()
        .ok()?;
    let key = String::from_utf8(read(data_dir, "key")?).ok()?;
    let key = SigningKey::from_secret_text(&key, Kind::Log).ok()?;
    let key = key.named(note.text().lines().next()?).ok()?;
    let signed = note.verify(std::slice::from_ref(key.verifier()));
    let why = "the chain holds, but the signature of the last signed checkpoint does not";
    signed.is_err().then(|| why.to_owned())
}

/// Copies a data folder; segments, which never change and may be many, are linked where that works.
fn copy_folder(from: &Path, to: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(to).map_err(failed("create", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else if path.ends_with(Path::new(FOLDER).join("key")) {
            // A secret has one place.
        } else if path.extension().is_some_and(|extension| extension == "seg") {
            std::os::unix::fs::symlink(
                fs::canonicalize(&path).map_err(failed("read", &path))?,
                &target,
            )
            .map_err(failed("link", &target))?;
        } else {
            fs::copy(&path, &target).map_err(failed("copy", &path))?;
        }
    }
    Ok(())
}
