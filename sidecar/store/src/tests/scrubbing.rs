//! What nobody reads is read now and then.

use std::os::unix::fs::FileExt as _;

use super::*;
use crate::journal::files_in;

fn quick(dir: &Path) -> Options {
    Options {
        scrub_bytes_per_second: u64::MAX / 2000,
        scrub_every: Duration::from_millis(1),
        ..options(dir)
    }
}

async fn wait(store: &Store, wanted: impl Fn(ScrubStatus) -> bool) {
    let mut changes = store.watch_view();
    let found = async {
        while !wanted(store.view().scrub) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(GUARD, found).await.unwrap();
}

#[tokio::test]
async fn the_scrub_reads_every_segment_and_finds_the_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quick(dir.path())).unwrap();
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 3).await;
    let wait_for = async |wanted: &dyn Fn(ScrubStatus) -> bool| wait(&store, wanted).await;
    let bytes = store.view().footprint.segment_bytes;
    wait_for(&|scrub| scrub.last_finished_ms.is_some() && scrub.checked_bytes * 10 > bytes * 9)
        .await;
    assert_eq!(store.view().scrub.damaged, 0);
    let files = fs::read_dir(dir.path().join("segments")).unwrap();
    let path = files.map(|entry| entry.unwrap().path()).max().unwrap();
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[1_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    wait_for(&|scrub| scrub.damaged == 1).await;
    fs::write(&path, &whole).unwrap();
    wait_for(&|scrub| scrub.damaged == 0).await;
    fs::remove_file(&path).unwrap();
    wait_for(&|scrub| scrub.damaged == 1).await;
    store.close();
}

/// The journal alone holds what is not sealed: damage there is told while memory still has it.
#[tokio::test]
async fn the_scrub_finds_an_unsealed_record_that_the_journal_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quick(dir.path())).unwrap();
    fill(&store, 0, 300).await;
    let whole_rounds = async |rounds: u64| {
        for _ in 0..rounds {
            let before = store.view().scrub.checked_bytes;
            wait(&store, |scrub| scrub.checked_bytes > before).await;
        }
    };
    whole_rounds(3).await;
    assert_eq!(store.view().scrub.damaged, 0);
    let frame = files_in(&dir.path().join("journal"))
        .unwrap()
        .into_iter()
        .find_map(|file| {
            let bytes = fs::read(&file.path).unwrap();
            let (at, _) = frames_in(&bytes).first().copied()?;
            Some((file.path, at as u64 + 100, bytes[at + 100]))
        });
    let (path, at, byte) = frame.unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[byte ^ 1], at).unwrap();
    wait(&store, |scrub| scrub.damaged == 1).await;
    file.write_all_at(&[byte], at).unwrap();
    wait(&store, |scrub| scrub.damaged == 0).await;
    // What a segment holds is not needed any more.
    file.write_all_at(&[byte ^ 1], at).unwrap();
    wait(&store, |scrub| scrub.damaged == 1).await;
    wait_for_segments(&store, 1).await;
    wait(&store, |scrub| scrub.damaged == 0).await;
    store.close();
}
