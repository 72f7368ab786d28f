//! The version files of a data folder, and what they cover.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use boboyka_strand::Seq;
use uuid::Uuid;

use super::cover::{Cover, Piece, Wanted};
use super::file::{EXTENSION, VersionFile};
use crate::error::OpenError;
use crate::files::{UNFINISHED, failed, make_folder};
use crate::segment::Segment;

const FOLDER: &str = "versions";

/// The version files of a data folder.
#[derive(Debug)]
pub(crate) struct Versions {
    folder: PathBuf,
    strand: Uuid,
    cover: RwLock<Arc<Cover>>,
}

impl Versions {
    /// Takes the files that fit to the segments, and removes every other one.
    pub(crate) fn open(
        data_dir: &Path,
        strand: Uuid,
        segments: &[Arc<Segment>],
        floor: Seq,
    ) -> Result<Self, OpenError> {
        let folder = data_dir.join(FOLDER);
        make_folder(&folder)?;
        let wanted = segments.iter().map(|segment| Wanted {
            first: segment.meta.first_seq(),
            last: segment.meta.head.seq,
        });
        let mut cover = Cover::wanting(wanted);
        let mut taken = floor;
        for path in paths(&folder)? {
            let file = VersionFile::open(&path, strand);
            let fit = file.map_err(|error| error.to_string()).and_then(|file| {
                fits(&file, segments, floor, taken)?;
                Ok(file)
            });
            match fit {
                Ok(file) => {
                    taken = file.range().last;
                    cover.put(Piece::File(Arc::new(file)));
                }
                Err(why) => remove(&path, &why)?,
            }
        }
        Ok(Self {
            folder,
            strand,
            cover: RwLock::new(Arc::new(cover)),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn strand(&self) -> Uuid {
        self.strand
    }

    /// What is covered now.
    pub(crate) fn cover(&self) -> Arc<Cover> {
        let cover = self.cover.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&cover)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cover) -> T) -> T {
        let mut cover = self.cover.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut cover))
    }

    /// Puts a piece in the place of what was known of its range.
    pub(crate) fn put(&self, piece: Piece) {
        self.change(|cover| cover.put(piece));
    }

    /// Forgets a wanted range that holds no block.
    pub(crate) fn forget(&self, Wanted { first, last }: Wanted) {
        self.change(|cover| cover.forget(first, last));
    }

    /// Puts a merged file in the place of its inputs, and removes those.
    pub(crate) fn replace(&self, inputs: &[Arc<VersionFile>], output: Arc<VersionFile>) {
        let path = output.path().to_owned();
        let is_current = self.change(|cover| {
            let is_current = cover.has_all(inputs);
            if is_current {
                cover.put(Piece::File(output));
            }
            is_current
        });
        let old = inputs.iter().filter(|input| input.path() != path);
        if is_current {
            old.for_each(|input| drop_file(input.path()));
        } else {
            drop_file(&path);
        }
    }

    /// Drops a file that does not hold; its range is gathered again.
    pub(crate) fn condemn(&self, file: &Arc<VersionFile>, why: &str) {
        let (first, last) = (file.range().first, file.range().last);
        let was_here = self.change(|cover| {
            let is_here = cover.has_all(std::slice::from_ref(file));
            if is_here {
                cover.put(Piece::Wanted(Wanted { first, last }));
            }
            is_here
        });
        if was_here {
            let shown = file.path().display().to_string();
            tracing::warn!(
                file = shown,
                why,
                "the version file {shown} does not hold and is made again from the segments ({why}); check the disk if \
                 this comes again"
            );
            drop_file(file.path());
        }
    }

    /// Forgets what is pruned.
    pub(crate) fn prune(&self, floor: Seq) {
        for gone in self.change(|cover| cover.prune(floor)) {
            drop_file(gone.path());
        }
    }
}

/// Removes a file that nobody looks for any more. If it stays, the next start removes it.
fn drop_file(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        let (file, error) = (path.display().to_string(), error.to_string());
        tracing::warn!(
            file,
            error,
            "could not remove the version file {file}; the next start tries again"
        );
    }
}

/// Whether a file is of these segments, and behind the last one taken.
fn fits(
    file: &VersionFile,
    segments: &[Arc<Segment>],
    floor: Seq,
    taken: Seq,
) -> Result<(), String> {
    let range = file.range();
    let begins = |segment: &&Arc<Segment>| segment.meta.first_seq() >= range.first;
    let ends = |segment: &&Arc<Segment>| {
        let head = segment.meta.head;
        (head.seq, head.hash) == (range.last, range.last_hash)
    };
    let begin = segments.iter().find(begins);
    let begins_with_one = range.first <= floor
        || begin.is_some_and(|segment| segment.meta.first_seq() == range.first);
    if !begins_with_one || !segments.iter().any(|segment| ends(&segment)) {
        return Err("its range is not one of segments".to_owned());
    }
    if range.last <= taken || (range.first <= taken && taken > floor) {
        return Err("another file covers its range".to_owned());
    }
    Ok(())
}

/// The files, by their first seq; of those with the same one, the longest range first.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let path = entry.map_err(failed("read", folder))?.path();
        if path.extension().is_some_and(|end| end == UNFINISHED) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        } else if path.extension().is_some_and(|end| end == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort_by_key(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let number = |text: Option<&str>| text?.parse::<Seq>().ok();
        let mut parts = name.split('-');
        let first = number(parts.next());
        (first, std::cmp::Reverse(number(parts.next())))
    });
    Ok(paths)
}

/// Removes a file that is of no use: a crash leaves such files, and each can be made again.
fn remove(path: &Path, why: &str) -> Result<(), OpenError> {
    let file = path.display().to_string();
    tracing::info!(file, why, "removing the version file {file}: {why}");
    fs::remove_file(path).map_err(failed("remove", path))
}
