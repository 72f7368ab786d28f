//! Who imports whom, by files, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::module::{ModuleId, Tree, Written};
use crate::resolve::definition;

/// One file imports another: it names what the other defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// The file that imports.
    pub from: PathBuf,
    /// The file that defines.
    pub to: PathBuf,
    /// What it imports, by the names in `to`, each with its first line in `from`, from 1.
    pub names: BTreeMap<String, usize>,
    /// Whether `to` is a module above `from`.
    pub is_upward: bool,
}

impl fmt::Display for Arrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.names.values().min().copied().unwrap_or_default();
        let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
        let (from, to) = (self.from.display(), self.to.display());
        write!(f, "{from}:{line} imports {} from {to}", names.join(", "))
    }
}

/// The imports of a crate, one arrow for every pair of files.
#[derive(Debug)]
pub struct Graph {
    arrows: Vec<Arrow>,
}

impl Graph {
    pub(crate) fn of(tree: &Tree) -> Self {
        let mut arrows: BTreeMap<(PathBuf, PathBuf), Arrow> = BTreeMap::new();
        for id in tree.ids() {
            let written = tree.get(id).map(|module| module.written.as_slice());
            for written in written.unwrap_or_default() {
                add(&mut arrows, tree, id, written);
            }
        }
        Self {
            arrows: arrows.into_values().collect(),
        }
    }

    /// Every import between two files.
    pub fn arrows(&self) -> &[Arrow] {
        &self.arrows
    }

    /// The imports of what a module above defines.
    pub fn upward(&self) -> Vec<&Arrow> {
        self.arrows.iter().filter(|arrow| arrow.is_upward).collect()
    }

    /// The circles: each holds the imports among files of which every one reaches every other.
    pub fn circles(&self) -> Vec<Vec<&Arrow>> {
        let files: BTreeSet<&Path> = self
            .arrows
            .iter()
            .map(|arrow| arrow.from.as_path())
            .collect();
        let beyond: BTreeMap<&Path, BTreeSet<&Path>> = files
            .iter()
            .map(|file| (*file, self.reached_from(file)))
            .collect();
        let reaches = |from: &Path, to: &Path| beyond.get(from).is_some_and(|all| all.contains(to));
        let mut circles: BTreeMap<&Path, Vec<&Arrow>> = BTreeMap::new();
        for arrow in self
            .arrows
            .iter()
            .filter(|arrow| reaches(&arrow.to, &arrow.from))
        {
            // A circle goes by its first file.
            let mut circle = files
                .iter()
                .filter(|file| reaches(file, &arrow.from) && reaches(&arrow.from, file));
            if let Some(name) = circle.next() {
                circles.entry(name).or_default().push(arrow);
            }
        }
        circles.into_values().collect()
    }

    /// Every file that an import of this one leads to, at any distance.
    fn reached_from<'a>(&'a self, file: &'a Path) -> BTreeSet<&'a Path> {
        let mut reached = BTreeSet::new();
        let mut open = vec![file];
        while let Some(file) = open.pop() {
            for arrow in self.arrows.iter().filter(|arrow| arrow.from == file) {
                if reached.insert(arrow.to.as_path()) {
                    open.push(&arrow.to);
                }
            }
        }
        reached
    }
}

/// Adds what a written path imports, if another file of the crate defines it.
fn add(
    arrows: &mut BTreeMap<(PathBuf, PathBuf), Arrow>,
    tree: &Tree,
    from: ModuleId,
    written: &Written,
) {
    let Some(found) = definition(tree, from, &written.path) else {
        return;
    };
    let file = |id| tree.get(id).map(|module| module.file.clone());
    let (Some(from_file), Some(to_file)) = (file(from), file(found.module)) else {
        return;
    };
    if from_file == to_file {
        return;
    }
    let pair = (from_file.clone(), to_file.clone());
    let arrow = arrows.entry(pair).or_insert_with(|| Arrow {
        from: from_file,
        to: to_file,
        names: BTreeMap::new(),
        is_upward: tree.above(from).any(|above| above == found.module),
    });
    let line = arrow.names.entry(found.name).or_insert(written.line);
    *line = written.line.min(*line);
}
