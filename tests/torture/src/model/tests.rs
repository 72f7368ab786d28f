//! The rules, on a few operations.

use std::collections::BTreeSet;

use super::*;

const FILE: Node = 7;

fn create(path: &str) -> Op {
    Op::Create {
        node: FILE,
        path: path.into(),
        folder: false,
    }
}

/// Writes the letter at a place of the file.
fn write(at: u64, letter: usize) -> Op {
    Op::Write {
        node: FILE,
        at,
        data: letter..letter + 1,
    }
}

fn sync(path: &str, node: Node, sync: u64, ok: bool) -> [Op; 2] {
    let path = path.into();
    [Op::SyncBegin { node, sync, path }, Op::SyncEnd { sync, ok }]
}

/// Every content that the file may have behind all operations; `None` where it has no name.
fn outcomes(ops: Vec<Op>, rules: Rules) -> BTreeSet<Option<String>> {
    let cut = ops.len();
    let log = Log::of(ops, b"abc".to_vec());
    let model = Model::new(&log, Path::new("/root"));
    let states = (0..200).map(|seed| {
        let fate = Fate::ALL[usize::try_from(seed).unwrap() % Fate::ALL.len()];
        let tree = model.state(cut, rules, fate, &mut Rng::with_seed(seed));
        let bytes = tree.get(Path::new("file")).cloned();
        bytes.map(|bytes| String::from_utf8(bytes.unwrap()).unwrap())
    });
    states.collect()
}

fn texts(texts: &[Option<&str>]) -> BTreeSet<Option<String>> {
    texts.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn what_was_synced_is_in_every_state_and_the_rest_in_some() {
    let mut ops = vec![create("/root/file"), write(0, 0)];
    ops.extend(sync("/root/file", FILE, 1, true));
    ops.push(write(1, 1));
    let expected = texts(&[Some("a"), Some("ab")]);
    assert_eq!(outcomes(ops.clone(), Rules::Ext4), expected);
    let with_zeros = texts(&[Some("a"), Some("ab"), Some("a\0")]);
    assert_eq!(outcomes(ops, Rules::Journal), with_zeros);
}

#[test]
fn a_name_needs_a_sync_of_its_folder_under_posix_only() {
    let mut ops = vec![create("/root/file"), write(0, 0)];
    ops.extend(sync("/root/file", FILE, 1, true));
    assert_eq!(
        outcomes(ops.clone(), Rules::Posix),
        texts(&[None, Some("a")])
    );
    assert_eq!(outcomes(ops.clone(), Rules::Ext4), texts(&[Some("a")]));
    ops.extend(sync("/root", 99, 2, true));
    assert_eq!(outcomes(ops, Rules::Posix), texts(&[Some("a")]));
}

#[test]
fn a_later_sync_does_not_write_what_a_failed_one_dropped() {
    let mut ops = vec![create("/root/file")];
    ops.extend(sync("/root", 99, 1, true));
    ops.push(write(0, 0));
    ops.extend(sync("/root/file", FILE, 2, false));
    ops.extend(sync("/root/file", FILE, 3, true));
    assert!(outcomes(ops.clone(), Rules::Ext4).contains(&Some(String::new())));
    // Written again, and synced, it is durable.
    ops.push(write(0, 0));
    ops.extend(sync("/root/file", FILE, 4, true));
    assert_eq!(outcomes(ops, Rules::Ext4), texts(&[Some("a")]));
}
