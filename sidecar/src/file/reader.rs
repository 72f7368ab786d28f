//! Reading a file again when it changes: by its stamp, so that a look at a file that rests costs one call. A text counts
//! when two looks have found it, because an editor may be in the middle of writing it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Far more than an integration and a Secret take.
const MAX_BYTES: u64 = 1 << 20;
/// A file may change within the resolution of its time, and keep its size.
const YOUNG: Duration = Duration::from_secs(2);

/// The text of a file, or why it can't be read.
pub(super) type Text = Result<String, String>;

/// A file that is read again when it changes.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// What the last look found, and the next has to find too.
    pending: Option<Text>,
    /// What was returned last.
    known: Option<Text>,
}

/// What tells one version of a file from another: device, inode, size and times.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    which: Option<(u64, u64, u64, i64, i64, i64, i64)>,
    modified: Option<SystemTime>,
}

impl Reader {
    /// Reads it for the first time; that text counts at once.
    pub(super) fn new(path: PathBuf) -> (Self, Text) {
        let (stamp, first) = (stamp(&path), read(&path));
        let reader = Self {
            path,
            stamp: Some(stamp),
            pending: None,
            known: Some(first.clone()),
        };
        (reader, first)
    }

    /// The text, if it is another one than before.
    pub(super) fn look(&mut self) -> Option<Text> {
        let stamp = stamp(&self.path);
        let rests = self.stamp.as_ref() == Some(&stamp) && self.pending.is_none();
        if rests && !stamp.is_young() {
            return None;
        }
        self.stamp = Some(stamp);
        let found = Some(read(&self.path));
        if found == self.known {
            self.pending = None;
        } else if found == self.pending {
            self.known = self.pending.take();
            return found;
        } else {
            self.pending = found;
        }
        None
    }
}

impl Stamp {
    fn is_young(&self) -> bool {
        let age = self.modified.map(|at| SystemTime::now().duration_since(at));
        age.is_some_and(|age| age.is_ok_and(|age| age < YOUNG))
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok();
    Stamp {
        which: found.as_ref().map(|it| {
            let changed = (it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec());
            let (a, b, c, d) = changed;
            (it.dev(), it.ino(), it.size(), a, b, c, d)
        }),
        modified: found.and_then(|it| it.modified().ok()),
    }
}

/// The text of a file.
///
/// # Errors
/// Why it can't be read.
pub(super) fn read(path: &Path) -> Text {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err("it can't be read: it is no file".to_owned());
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    match read {
        Err(error) => Err(unreadable(&error)),
        Ok(bytes) if bytes as u64 > MAX_BYTES => Err("it is longer than 1 MiB".to_owned()),
        Ok(_) => Ok(text),
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it can't be read: {}", error.kind())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Reader;

    #[test]
    fn a_change_counts_when_two_looks_have_found_it_also_by_a_rename_and_when_the_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let (mut reader, first) = Reader::new(path.clone());
        assert_eq!(first.as_deref(), Ok("one"));
        assert_eq!(reader.look(), None);
        fs::write(&path, "two").unwrap();
        assert_eq!(reader.look(), None, "it may be half of it");
        fs::write(&path, "two more").unwrap();
        assert_eq!(reader.look(), None);
        assert_eq!(reader.look(), Some(Ok("two more".to_owned())));
        assert_eq!(reader.look(), None);
        fs::write(folder.path().join("new"), "six more").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(
            (reader.look(), reader.look()),
            (None, Some(Ok("six more".to_owned())))
        );
        fs::remove_file(&path).unwrap();
        reader.look();
        assert!(reader.look().unwrap().unwrap_err().contains("not found"));
        fs::create_dir(&path).unwrap();
        reader.look();
        assert!(reader.look().unwrap().unwrap_err().contains("no file"));
    }
}
