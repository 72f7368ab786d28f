//! What crashes and failing disks leave of version files: every answer is right afterwards, and nothing else is touched.

use std::path::PathBuf;

use super::*;

/// The version files, in order.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("versions")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "ver"));
    files.sort();
    files
}

/// Damages version files of a closed strand.
pub(super) fn somehow(dir: &Path, random: &mut Random) {
    let files = files(dir);
    let some = usize::try_from(random.below(files.len().max(1) as u64)).unwrap();
    let Some(path) = files.get(some) else {
        return;
    };
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
    match random.below(6) {
        0 => fs::remove_dir_all(dir.join("versions")).unwrap(),
        1 => fs::remove_file(path).unwrap(),
        2 => fs::write(path, &bytes[..at]).unwrap(),
        // A name that a crash made durable before the content.
        3 => fs::write(path, vec![0; bytes.len()]).unwrap(),
        4 => fs::copy(path, files.first().unwrap())
            .map(drop)
            .unwrap_or_default(),
        _ => {
            bytes[at] ^= 1 << random.below(8);
            fs::write(path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_bit_that_flips_anywhere_in_a_version_file_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut model, mut random) = whole(dir.path(), 11, 30).await;
    close(store);
    let path = files(dir.path()).swap_remove(0);
    let bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(211).chain([bytes.len() - 1]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << random.below(8);
        fs::write(&path, &damaged).unwrap();
        let store = model::opened(dir.path());
        model.check(&store, &mut random);
        assert!(store.quarantined().is_empty());
        close(store);
    }
}

#[tokio::test]
async fn damage_under_an_open_strand_is_found_when_it_is_read_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut model, mut random) = whole(dir.path(), 12, 30).await;
    model.check(&store, &mut random);
    for path in files(dir.path()) {
        // In place: the store has the file open.
        let file = fs::File::options().write(true).open(&path).unwrap();
        let zeros = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        std::os::unix::fs::FileExt::write_all_at(&file, &zeros, 0).unwrap();
    }
    model.check(&store, &mut random);
    close(store);
    let store = model::opened(dir.path());
    model.check(&store, &mut random);
    store.close();
}

/// Whether a file is of more blocks than a segment has.
fn is_wide(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let (first, last) = name.split_once('-').unwrap();
    let (first, last): (Seq, Seq) = (first.parse().unwrap(), last.parse().unwrap());
    last - first > 200
}

/// A merge writes beside its place, takes its name, and then removes what it was made of: a kill may come between any two
/// of these steps.
#[tokio::test]
async fn a_merge_that_is_cut_short_at_any_step_leaves_right_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut model, mut random) = whole(dir.path(), 13, 12).await;
    close(store);
    let before = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), before.path());
    let store = model::opened(dir.path());
    let merged = loop {
        model.append(&store, &mut random).await;
        let files = files(dir.path());
        let is_merged = |path: &&PathBuf| {
            !before
                .path()
                .join("versions")
                .join(path.file_name().unwrap())
                .exists()
        };
        let mut merged = files.iter().filter(is_merged).filter(|path| is_wide(path));
        if let Some(path) = merged.next() {
            break path.clone();
        }
    };
    close(store);
    let name = merged.file_name().unwrap();
    for (left, inputs) in [("unfinished", true), ("ver", true), ("ver", false)] {
        let crashed = tempfile::tempdir().unwrap();
        copy_folder(dir.path(), crashed.path());
        let versions = crashed.path().join("versions");
        if inputs {
            copy_folder(&before.path().join("versions"), &versions);
        }
        let bytes = fs::read(&merged).unwrap();
        let end = if left == "ver" {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        fs::remove_file(versions.join(name)).unwrap();
        fs::write(versions.join(name).with_extension(left), &bytes[..end]).unwrap();
        let store = model::opened(crashed.path());
        model.check(&store, &mut random);
        store.close();
    }
}

#[tokio::test]
async fn a_version_file_of_another_strand_is_not_believed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, ..) = whole(one.path(), 14, 30).await;
    close(store);
    let (store, mut model, mut random) = whole(other.path(), 14, 30).await;
    close(store);
    fs::remove_dir_all(other.path().join("versions")).unwrap();
    copy_folder(&one.path().join("versions"), &other.path().join("versions"));
    let store = model::opened(other.path());
    model.check(&store, &mut random);
    store.close();
}
