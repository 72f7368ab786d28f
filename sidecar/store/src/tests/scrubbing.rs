//! What nobody reads is read now and then.

use super::*;

#[tokio::test]
async fn the_scrub_reads_every_segment_and_finds_the_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let quick = Options {
        scrub_bytes_per_second: u64::MAX / 2000,
        scrub_every: Duration::from_millis(1),
        ..options(dir.path())
    };
    let store = Store::open(quick).unwrap();
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 3).await;
    let wait_for = async |wanted: &dyn Fn(ScrubStatus) -> bool| {
        let mut changes = store.watch_view();
        let found = async {
            while !wanted(store.view().scrub) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(GUARD, found).await.unwrap();
    };
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
