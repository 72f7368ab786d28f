//! Reads a crate's files into a tree of modules, as the compiler finds them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use syn::{Item, ItemMod, UseTree, Visibility};

use crate::cfg::is_for_tests;
use crate::module::{ModuleId, Name, Tree, Written};
use crate::written::{self, line_of};

/// The modules of the crate with this root file.
pub(crate) fn tree(root: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let id = tree.add(None, root.to_owned());
    let folder = root.parent().context("a crate's root has no folder")?;
    file(&mut tree, id, root, folder)?;
    Ok(tree)
}

/// Reads a module's file; `folder` is where the files of its children are.
fn file(tree: &mut Tree, id: ModuleId, path: &Path, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    let parsed =
        syn::parse_file(&text).with_context(|| format!("could not parse {}", path.display()))?;
    module(tree, id, &parsed.items, path, folder)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "syn may add kinds of items")]
fn module(tree: &mut Tree, id: ModuleId, items: &[Item], path: &Path, folder: &Path) -> Result<()> {
    for item in items {
        if is_for_tests(written::attributes(item)) {
            continue;
        }
        match item {
            Item::Mod(child) => child_module(tree, id, child, path, folder)?,
            Item::Use(import) => {
                let handed_on = !matches!(import.vis, Visibility::Inherited);
                imports(tree, id, &import.tree, handed_on);
            }
            other => {
                if let Some(name) = name_of(other) {
                    define(tree, id, name, Name::Item);
                }
                let found = written::in_item(other);
                for import in &found.imports {
                    imports(tree, id, &import.tree, false);
                }
                if let Some(module) = tree.get_mut(id) {
                    module.written.extend(found.paths);
                }
            }
        }
    }
    Ok(())
}

fn child_module(
    tree: &mut Tree,
    parent: ModuleId,
    child: &ItemMod,
    path: &Path,
    folder: &Path,
) -> Result<()> {
    let name = child.ident.to_string();
    if child.attrs.iter().any(|one| one.path().is_ident("path")) {
        bail!("{}: `mod {name}` has a #[path]", path.display());
    }
    let below = folder.join(&name);
    if let Some((_, items)) = &child.content {
        let id = tree.add(Some(parent), path.to_owned());
        define(tree, parent, name, Name::Module(id));
        return module(tree, id, items, path, &below);
    }
    let own: PathBuf = folder.join(format!("{name}.rs"));
    let id = tree.add(Some(parent), own.clone());
    define(tree, parent, name, Name::Module(id));
    file(tree, id, &own, &below)
}

fn define(tree: &mut Tree, id: ModuleId, name: String, meaning: Name) {
    if let Some(module) = tree.get_mut(id) {
        module.names.entry(name).or_default().push(meaning);
    }
}

/// Adds what a `use` brings into scope. A `use` that hands names on is no import.
fn imports(tree: &mut Tree, id: ModuleId, import: &UseTree, handed_on: bool) {
    let mut leaves = Vec::new();
    flatten(import, &[], &mut leaves);
    let Some(module) = tree.get_mut(id) else {
        return;
    };
    for Leaf { path, name, line } in leaves {
        match name {
            None => module.globs.push(path),
            Some(name) => {
                let meaning = Name::Import(path.clone());
                module.names.entry(name).or_default().push(meaning);
                if !handed_on {
                    module.written.push(Written { path, line });
                }
            }
        }
    }
}

/// One name of a `use`; without a name it is a glob.
struct Leaf {
    path: Vec<String>,
    name: Option<String>,
    line: usize,
}

fn flatten(tree: &UseTree, before: &[String], leaves: &mut Vec<Leaf>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    let mut leaf = |path: Vec<String>, name: Option<String>, line| {
        // `use a::{self}` brings in `a`.
        let path = match path.split_last() {
            Some((last, rest)) if last == "self" && !rest.is_empty() => rest.to_vec(),
            _ => path,
        };
        let name = match name {
            Some(name) if name == "self" => path.last().cloned(),
            name => name,
        };
        leaves.push(Leaf { path, name, line });
    };
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), leaves),
        UseTree::Name(name) => leaf(
            with(&name.ident),
            Some(name.ident.to_string()),
            line_of(&name.ident),
        ),
        UseTree::Rename(name) => leaf(
            with(&name.ident),
            Some(name.rename.to_string()),
            line_of(&name.ident),
        ),
        UseTree::Glob(star) => leaf(before.to_vec(), None, star.star_token.span.start().line),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, leaves);
            }
        }
    }
}

/// The name that an item defines; implementations define none.
#[expect(clippy::wildcard_enum_match_arm, reason = "syn may add kinds of items")]
fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
