//! Finds what a path names, through imports, renames, globs and names handed on.

use std::collections::BTreeSet;

use crate::module::{ModuleId, Name, Tree};

/// What a path leads to.
#[derive(Clone, Debug)]
enum Target {
    Item(Definition),
    Module(ModuleId),
}

/// An item and the module that defines it.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) module: ModuleId,
    pub(crate) name: String,
}

/// What a path names, as seen from a module. `None` for a module, and for what another crate defines.
pub(crate) fn definition(tree: &Tree, from: ModuleId, path: &[String]) -> Option<Definition> {
    let mut search = Search {
        tree,
        open: BTreeSet::new(),
    };
    let found = search.path(from, path);
    found.into_iter().find_map(|target| match target {
        Target::Item(definition) => Some(definition),
        Target::Module(_) => None,
    })
}

/// One search. It remembers the names that it is looking up, so that circular imports end it.
struct Search<'a> {
    tree: &'a Tree,
    open: BTreeSet<(ModuleId, String)>,
}

impl Search<'_> {
    fn path(&mut self, from: ModuleId, path: &[String]) -> Vec<Target> {
        let Some((first, mut rest)) = path.split_first() else {
            return Vec::new();
        };
        let mut found = self.start(from, first);
        while let Some((name, after)) = rest.split_first() {
            // What follows an item is associated with it: a variant, a function of a type.
            if found.iter().all(|target| matches!(target, Target::Item(_))) {
                break;
            }
            let modules = found.into_iter().filter_map(|target| match target {
                Target::Module(module) => Some(module),
                Target::Item(_) => None,
            });
            let modules: Vec<ModuleId> = modules.collect();
            found = modules
                .into_iter()
                .flat_map(|module| self.step(module, name))
                .collect();
            rest = after;
        }
        found
    }

    fn start(&mut self, from: ModuleId, first: &str) -> Vec<Target> {
        match first {
            "crate" => vec![Target::Module(Tree::ROOT)],
            "self" => vec![Target::Module(from)],
            _ => self.step(from, first),
        }
    }

    fn step(&mut self, module: ModuleId, name: &str) -> Vec<Target> {
        match name {
            "super" => {
                let parent = self.tree.get(module).and_then(|module| module.parent);
                parent.map(Target::Module).into_iter().collect()
            }
            _ => self.name(module, name),
        }
    }

    fn name(&mut self, id: ModuleId, name: &str) -> Vec<Target> {
        let Some(module) = self.tree.get(id) else {
            return Vec::new();
        };
        let open = (id, name.to_owned());
        if !self.open.insert(open.clone()) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for meaning in module.names.get(name).into_iter().flatten() {
            match meaning {
                Name::Item => found.push(Target::Item(Definition {
                    module: id,
                    name: name.to_owned(),
                })),
                Name::Module(child) => found.push(Target::Module(*child)),
                Name::Import(path) => found.extend(self.import(id, name, path)),
            }
        }
        if found.is_empty() {
            for glob in &module.globs {
                for target in self.path(id, glob) {
                    if let Target::Module(handed_on) = target {
                        found.extend(self.name(handed_on, name));
                    }
                }
            }
        }
        self.open.remove(&open);
        found
    }

    /// What an import leads to. `use kube;` beside no module of that name is another crate, not itself.
    fn import(&mut self, id: ModuleId, name: &str, path: &[String]) -> Vec<Target> {
        match path {
            [only] if only == name => Vec::new(),
            _ => self.path(id, path),
        }
    }
}
