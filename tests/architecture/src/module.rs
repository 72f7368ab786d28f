//! What is known of a module: the names in its scope and the paths that it writes.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A module's place in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModuleId(usize);

/// All modules of a crate. The first is the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    modules: Vec<Module>,
}

/// One module: a file, or a part of a file.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) parent: Option<ModuleId>,
    pub(crate) file: PathBuf,
    pub(crate) names: BTreeMap<String, Vec<Name>>,
    /// The paths before `::*`.
    pub(crate) globs: Vec<Vec<String>>,
    pub(crate) written: Vec<Written>,
}

/// What a name in a module's scope stands for. A module and an item may bear the same name.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    Item,
    Module(ModuleId),
    Import(Vec<String>),
}

/// A path that a module writes.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) path: Vec<String>,
    /// From 1.
    pub(crate) line: usize,
}

impl Tree {
    pub(crate) const ROOT: ModuleId = ModuleId(0);

    /// Adds an empty module.
    pub(crate) fn add(&mut self, parent: Option<ModuleId>, file: PathBuf) -> ModuleId {
        self.modules.push(Module {
            parent,
            file,
            names: BTreeMap::new(),
            globs: Vec::new(),
            written: Vec::new(),
        });
        ModuleId(self.modules.len() - 1)
    }

    pub(crate) fn get(&self, id: ModuleId) -> Option<&Module> {
        self.modules.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: ModuleId) -> Option<&mut Module> {
        self.modules.get_mut(id.0)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ModuleId> + use<> {
        (0..self.modules.len()).map(ModuleId)
    }

    /// The modules above one, nearest first.
    pub(crate) fn above(&self, id: ModuleId) -> impl Iterator<Item = ModuleId> {
        let parent = |id: ModuleId| self.get(id).and_then(|module| module.parent);
        std::iter::successors(parent(id), move |id| parent(*id))
    }
}
