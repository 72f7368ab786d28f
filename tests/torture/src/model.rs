//! What a disk may hold after a power cut, by what was written and synced before. Pure but for the log it reads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use fastrand::Rng;

pub use crate::content::Fate;
use crate::content::{Change, content};
use crate::log::{Log, Node, Op};

/// How a file system keeps order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Rules {
    /// ext4 with ordered data: names change in order; a small file's data is there as a whole or not at all.
    Ext4,
    /// Any journal of metadata: names change in order, contents in any; pieces of 512 bytes may be lost, old or zero.
    Journal,
    /// POSIX and nothing more: a name whose folder was not synced may be missing.
    Posix,
}

/// What a folder holds: contents by path, `None` for a folder.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A change of names: in which folders, and what.
struct Naming {
    op: usize,
    folders: Vec<Node>,
    /// The file that was made or renamed.
    node: Node,
    steps: Vec<Step>,
}

#[derive(Clone)]
struct Step {
    adds: bool,
    folder: Node,
    name: PathBuf,
    node: Node,
}

/// All that a log changed.
pub struct Model<'a> {
    log: &'a Log,
    changes: HashMap<Node, Vec<(usize, Change)>>,
    /// Begin, end and outcome of the syncs of each node.
    syncs: HashMap<Node, Vec<(usize, usize, bool)>>,
    namings: Vec<Naming>,
    folders: HashSet<Node>,
}

/// The folder around everything, which was there before.
const ROOT: Node = 0;

impl<'a> Model<'a> {
    /// Of a log whose paths are below `root`.
    pub fn new(log: &'a Log, root: &Path) -> Self {
        let mut model = Self {
            log,
            changes: HashMap::new(),
            syncs: HashMap::new(),
            namings: Vec::new(),
            folders: HashSet::from([ROOT]),
        };
        let mut paths: HashMap<PathBuf, Node> = HashMap::from([(root.to_owned(), ROOT)]);
        let mut open: HashMap<u64, (usize, Node)> = HashMap::new();
        for (at, op) in log.ops.iter().enumerate() {
            match op {
                Op::Create { node, path, folder } => {
                    paths.insert(path.clone(), *node);
                    if *folder {
                        model.folders.insert(*node);
                    }
                    let step = step(true, &paths, path, *node);
                    model.name(at, *node, vec![step]);
                }
                Op::Unlink { path } => {
                    let node = paths.remove(path).unwrap_or(ROOT);
                    let step = step(false, &paths, path, node);
                    model.name(at, node, vec![step]);
                }
                Op::Rename { from, to } => {
                    let node = paths.get(from).copied().unwrap_or(ROOT);
                    let steps = vec![
                        step(false, &paths, from, node),
                        step(true, &paths, to, node),
                    ];
                    rename(&mut paths, from, to);
                    model.name(at, node, steps);
                }
                Op::Truncate { node, len } => model.change(at, *node, Change::Len(*len)),
                Op::Write {
                    node,
                    at: place,
                    data,
                } => {
                    let (at_byte, data) = (*place, data.clone());
                    model.change(at, *node, Change::Bytes { at: at_byte, data });
                }
                Op::SyncBegin { node, sync, path } => {
                    let node = if path == root { ROOT } else { *node };
                    open.insert(*sync, (at, node));
                }
                Op::SyncEnd { sync, ok } => {
                    if let Some((begun, node)) = open.remove(sync) {
                        model.syncs.entry(node).or_default().push((begun, at, *ok));
                    }
                }
                Op::Send { .. } | Op::WriteFailed => {}
            }
        }
        model
    }

    /// Where a cut is worth trying: around every change of names and every sync, behind every write and every receipt.
    pub fn cuts(&self) -> Vec<usize> {
        let ops = self.log.ops.iter().enumerate();
        let mut cuts: Vec<usize> = ops
            .flat_map(|(at, op)| match op {
                Op::Write { .. } | Op::Send { .. } | Op::WriteFailed => vec![at + 1],
                Op::Create { .. }
                | Op::Truncate { .. }
                | Op::Rename { .. }
                | Op::Unlink { .. }
                | Op::SyncBegin { .. }
                | Op::SyncEnd { .. } => vec![at, at + 1],
            })
            .collect();
        cuts.dedup();
        cuts
    }

    /// What the disk holds when the power goes before operation `cut`.
    pub fn state(&self, cut: usize, rules: Rules, fate: Fate, rng: &mut Rng) -> Tree {
        let mut names: BTreeMap<(Node, PathBuf), Node> = BTreeMap::new();
        let kept = self.kept(cut, rules, fate, rng);
        for (naming, kept) in self.namings.iter().zip(kept) {
            for step in naming.steps.iter().filter(|_| kept) {
                let key = (step.folder, step.name.clone());
                if step.adds {
                    names.insert(key, step.node);
                } else if names.get(&key) == Some(&step.node) {
                    names.remove(&key);
                }
            }
        }
        let mut tree = Tree::new();
        self.walk(ROOT, Path::new(""), &names, &mut |path, node| {
            let folder = self.folders.contains(&node);
            let content = (!folder).then(|| self.content(node, cut, rules, fate, rng));
            tree.insert(path, content);
        });
        tree
    }

    fn walk(
        &self,
        folder: Node,
        path: &Path,
        names: &BTreeMap<(Node, PathBuf), Node>,
        found: &mut impl FnMut(PathBuf, Node),
    ) {
        let below = names.range((folder, PathBuf::new())..);
        for ((_, name), node) in below.take_while(|((of, _), _)| *of == folder) {
            let path = path.join(name);
            found(path.clone(), *node);
            if self.folders.contains(node) && *node != ROOT {
                self.walk(*node, &path, names, found);
            }
        }
    }

    /// Which changes of names are there.
    fn kept(&self, cut: usize, rules: Rules, fate: Fate, rng: &mut Rng) -> Vec<bool> {
        let done: Vec<&Naming> = self
            .namings
            .iter()
            .take_while(|naming| naming.op < cut)
            .collect();
        let mut kept: Vec<bool> = done
            .iter()
            .map(|naming| self.is_named(naming, cut, rules))
            .collect();
        if rules != Rules::Posix {
            let last = kept.iter().rposition(|kept| *kept);
            kept.iter_mut()
                .enumerate()
                .for_each(|(at, kept)| *kept = last.is_some_and(|last| at <= last));
        }
        let pending: Vec<usize> = (0..kept.len()).filter(|at| !kept[*at]).collect();
        let some = rng.usize(..=pending.len());
        for (n, at) in pending.iter().enumerate() {
            kept[*at] = match fate {
                Fate::Nothing => false,
                Fate::Everything | Fate::Zeros => true,
                Fate::Any | Fate::Newest if rules == Rules::Posix => rng.bool(),
                Fate::Prefix | Fate::Any | Fate::Newest => n < some,
            };
        }
        kept.resize(self.namings.len(), false);
        kept
    }

    /// Whether a sync has made a change of names durable. A journal writes all changes before along, and a file's own sync
    /// writes its name.
    fn is_named(&self, naming: &Naming, cut: usize, rules: Rules) -> bool {
        let synced = |node: &Node| self.durable_before(*node, cut) > naming.op;
        let by_file = rules != Rules::Posix && synced(&naming.node);
        by_file || naming.folders.iter().any(synced)
    }

    /// The begin of the newest sync that ended before the cut: what was changed before it is durable.
    fn durable_before(&self, node: Node, cut: usize) -> usize {
        let syncs = self.syncs.get(&node).into_iter().flatten();
        let ended = syncs.filter(|(_, end, ok)| *ok && *end < cut);
        ended.map(|(begun, ..)| *begun).max().unwrap_or(0)
    }

    /// Whether the sync that was to write a change has failed: the kernel takes the page for clean from then on, and no
    /// later sync writes it.
    fn is_dropped(&self, node: Node, op: usize, cut: usize) -> bool {
        let syncs = self.syncs.get(&node).into_iter().flatten();
        let covering = syncs.filter(|(begun, end, _)| *begun > op && *end < cut);
        covering
            .min_by_key(|(_, end, _)| *end)
            .is_some_and(|(.., ok)| !ok)
    }

    fn content(&self, node: Node, cut: usize, rules: Rules, fate: Fate, rng: &mut Rng) -> Vec<u8> {
        let durable = self.durable_before(node, cut);
        let changes = self.changes.get(&node).into_iter().flatten();
        let done: Vec<(&Change, bool)> = changes
            .take_while(|(op, _)| *op < cut)
            .map(|(op, change)| {
                let bytes = matches!(change, Change::Bytes { .. });
                let dropped = bytes && self.is_dropped(node, *op, cut);
                (change, *op >= durable || dropped)
            })
            .collect();
        content(self.log, &done, rules == Rules::Ext4, fate, rng)
    }

    fn change(&mut self, op: usize, node: Node, change: Change) {
        self.changes.entry(node).or_default().push((op, change));
    }

    fn name(&mut self, op: usize, node: Node, steps: Vec<Step>) {
        let folders = steps.iter().map(|step| step.folder).collect();
        self.namings.push(Naming {
            op,
            folders,
            node,
            steps,
        });
    }
}

/// Gives a file, or a folder with all that is in it, another name.
fn rename(paths: &mut HashMap<PathBuf, Node>, from: &Path, to: &Path) {
    let below = paths.keys().filter(|path| path.starts_with(from));
    for path in below.cloned().collect::<Vec<_>>() {
        let target = match path.strip_prefix(from) {
            Ok(end) if !end.as_os_str().is_empty() => to.join(end),
            Ok(_) | Err(_) => to.to_owned(),
        };
        if let Some(node) = paths.remove(&path) {
            paths.insert(target, node);
        }
    }
}

fn step(adds: bool, paths: &HashMap<PathBuf, Node>, path: &Path, node: Node) -> Step {
    let folder = path.parent().and_then(|parent| paths.get(parent));
    Step {
        adds,
        folder: folder.copied().unwrap_or(ROOT),
        name: path.file_name().map(PathBuf::from).unwrap_or_default(),
        node,
    }
}

#[cfg(test)]
mod tests;
