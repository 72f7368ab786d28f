//! The incarnations of the transparency log that ended: the file `tlog/predecessors`, a line `SIZE ROOT ORIGIN` each, oldest
//! first, with the last checkpoint that is known of it. A witness asks what an incarnation follows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use boboyka_tlog::{Checkpoint, TreeHash};

use crate::files;
use crate::incarnation::Compared;
use crate::tlog::FOLDER;

/// Of more, the oldest are forgotten.
const MAX: usize = 16;

/// An incarnation that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The last checkpoint that is known of it; of size 0 when none is.
    pub checkpoint: Checkpoint,
    /// What the strand holds of that checkpoint's tree.
    pub held: Compared,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Predecessors(PathBuf);

impl Predecessors {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join(FOLDER).join("predecessors"))
    }

    /// The last checkpoints, oldest first; lines that mean nothing are none.
    pub(crate) fn read(&self) -> Vec<Checkpoint> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(checkpoint).collect()
    }

    /// Adds an incarnation, in place of what was known of it.
    pub(crate) fn add(&self, ended: &Checkpoint) -> io::Result<()> {
        let mut all = self.read();
        all.retain(|one| one.origin() != ended.origin());
        all.push(ended.clone());
        let lines = all.iter().skip(all.len().saturating_sub(MAX));
        let lines: Vec<String> = lines
            .map(|one| format!("{} {} {}\n", one.size(), one.root(), one.origin()))
            .collect();
        files::replace(&self.0, lines.concat().as_bytes())
    }
}

fn checkpoint(line: &str) -> Option<Checkpoint> {
    let parts: Vec<&str> = line.split(' ').collect();
    let [size, root, origin] = parts[..] else {
        return None;
    };
    let root: TreeHash = root.parse().ok()?;
    Checkpoint::new(origin.to_owned(), size.parse().ok()?, root).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_predecessors_are_kept_each_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        let file = Predecessors::of(folder.path());
        assert_eq!(file.read(), []);
        let ended = |number: usize, size| {
            let root = TreeHash::of_leaf(b"x");
            Checkpoint::new(format!("log.example/{number}"), size, root).unwrap()
        };
        for number in 1..=20 {
            file.add(&ended(number, 3)).unwrap();
        }
        file.add(&ended(20, 9)).unwrap();
        let all = file.read();
        assert_eq!((all.len(), &all[0]), (MAX, &ended(5, 3)));
        assert_eq!(all.last(), Some(&ended(20, 9)));
        fs::write(&file.0, "nonsense\n3 x y\n").unwrap();
        assert_eq!(file.read(), []);
    }
}
