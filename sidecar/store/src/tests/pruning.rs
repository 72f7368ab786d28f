//! Pruning: what goes, what stays, and what is told of it.

use boboyka_strand::retention::Blocker;

use super::*;
use crate::state::State;

pub(super) const EVERYTHING: Policy = Policy {
    max_age_ms: None,
    max_size_bytes: Some(0),
};

/// A strand of some sealed segments, in a phase.
pub(super) async fn strand_in(dir: &Path, phase: Phase) -> Store {
    let store = opened(dir);
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    if !phase.mirrors() {
        store.set_phase(phase, 2).await.unwrap();
    }
    fill(&store, 0, 3_000).await;
    wait_until_sealed(&store).await;
    store
}

/// Waits until nothing is being sealed.
pub(super) async fn wait_until_sealed(store: &Store) {
    let sealed = async {
        let mut changes = store.watch_view();
        while store.view().footprint.tail_blocks >= store.shared.options.seal_blocks {
            changes.changed().await.unwrap();
        }
    };
    let sealed = tokio::time::timeout(GUARD, sealed).await;
    assert!(sealed.is_ok(), "{:?}", store.view().footprint);
    assert!(store.view().footprint.segments >= 4);
}

/// Settles a lane up to a seq, as a lane does that has sent all of its records.
async fn mirror_to(store: &Store, lane: RecordType, seq: Seq) {
    let (mut after, mut mirrored) = (0, 0);
    while after < seq {
        let read = store.read_lane(lane, after, 1_000, 1 << 30).unwrap();
        let sent = read.blocks.iter().filter(|block| block.header.seq <= seq);
        mirrored += sent.count() as u64;
        after = read.scanned_to;
    }
    let mark = Mark {
        seq,
        mirrored,
        dead_lettered: 0,
    };
    store.advance(lane, mark, vec![]).await.unwrap();
}

pub(super) async fn mirror_all_to(store: &Store, seq: Seq) {
    for lane in [RecordType::AgentHealth, RecordType::AuditLog] {
        mirror_to(store, lane, seq).await;
    }
}

pub(super) fn ends(store: &Store) -> Vec<Seq> {
    let state = store.shared.state();
    let segments = state.memory().segments().iter();
    segments.map(|segment| segment.meta.head.seq).collect()
}

/// What a strand counts once it has recorded a pruning.
pub(super) fn with_record_of_pruning(mut counts: PerType<u64>) -> PerType<u64> {
    counts[RecordType::AuditLog] += 1;
    counts
}

fn segment_files(dir: &Path) -> usize {
    fs::read_dir(dir.join("segments")).unwrap().count()
}

#[tokio::test]
async fn what_is_pruned_is_gone_from_the_disk_and_told_and_the_rest_holds_from_the_floor() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let counts = store.view().counts;
    let ends = ends(&store);
    let first = store.block(1).unwrap().unwrap();
    let last_gone = store.block(ends[1]).unwrap().unwrap();
    let footprint = store.view().footprint;
    // All but what the two oldest segments take.
    let sizes: Vec<u64> = {
        let state = store.shared.state();
        state
            .memory()
            .segments()
            .iter()
            .map(|s| s.file_len)
            .collect()
    };
    let size = footprint.segment_bytes + footprint.tail_bytes as u64 - sizes[0] - sizes[1];
    let policy = Policy {
        max_age_ms: None,
        max_size_bytes: Some(size),
    };
    let before = segment_files(dir.path());
    store.prune(policy, false).await.unwrap();

    let floor = store.view().floor;
    assert_eq!((floor.head.seq, floor.head.hash), (ends[1], last_gone.hash));
    assert_eq!(floor.counts.values().sum::<u64>(), ends[1]);
    assert_eq!(segment_files(dir.path()), before - 2);
    let status = store.view().retention;
    assert_eq!(status.freed_bytes, sizes[0] + sizes[1]);
    assert_eq!((status.pruned_seq, status.blocked_by), (ends[1], None));
    let counts = with_record_of_pruning(counts);
    assert_eq!(store.view().counts, counts, "pruned records count too");
    close(store);

    let store = opened(dir.path());
    assert_eq!((store.view().floor, store.view().counts), (floor, counts));
    let head = store.view().head;
    let whole = verdict(&store);
    assert!(whole.ok, "{whole:?}");
    assert_eq!(
        (whole.floor, whole.verified),
        (floor.head, head.seq - ends[1])
    );
    assert!(matches!(store.block(1), Err(ReadError::Pruned { .. })));
    assert!(matches!(store.block(ends[1]), Err(ReadError::Pruned { floor }) if floor == ends[1]));
    assert!(store.block(ends[1] + 1).unwrap().is_some());
    assert_eq!(store.block(head.seq + 1).unwrap(), None);
    for gone in [&first, &last_gone] {
        let found = store.block_by_hash(&gone.hash);
        assert!(matches!(found, Err(ReadError::Pruned { .. })), "{found:?}");
    }
    assert_eq!(
        store.block_by_hash(&Hash::from_bytes([1; 32])).unwrap(),
        None
    );
    let mut query = everything(&store);
    let mut seen = 0;
    while let Some(last) = store.page(&query).blocks.last() {
        seen += query.before.min(head.seq + 1) - last.header.seq;
        query.before = last.header.seq;
    }
    assert_eq!((seen, query.before), (head.seq - ends[1], ends[1] + 1));
    assert!(store.quarantined().is_empty());
}

#[tokio::test]
async fn while_there_is_something_to_mirror_nothing_unmirrored_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let ends = ends(&store);
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(store.view().floor, Floor::default());
    let blocked = store.view().retention.blocked_by;
    assert_eq!(blocked, Some(Blocker::Lane(RecordType::AgentHealth)));

    mirror_to(&store, RecordType::AgentHealth, ends[2]).await;
    store.prune(EVERYTHING, true).await.unwrap();
    let blocked = store.view().retention.blocked_by;
    assert_eq!(blocked, Some(Blocker::Lane(RecordType::AuditLog)));

    mirror_to(&store, RecordType::AuditLog, ends[1] + 5).await;
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, ends[1]);
    assert_eq!(store.view().floor.unmirrored, PerType::default());

    // A dead letter may be sent again, so its record stays.
    mirror_all_to_the_end(&store).await;
    let lane = RecordType::AuditLog;
    let letter = dead_letter(lane, ends[2] + 2);
    store
        .advance(lane, store.view().marks[lane], vec![letter])
        .await
        .unwrap();
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, ends[2]);
    let blocked = store.view().retention.blocked_by;
    assert_eq!(blocked, Some(Blocker::DeadLetters(lane)));
    store
        .resolve_dead_letter(0, lane, ends[2] + 2)
        .await
        .unwrap();
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, *ends.last().unwrap());
    assert_eq!(store.view().retention.blocked_by, None);
}

pub(super) async fn mirror_all_to_the_end(store: &Store) {
    let floor = store.view().floor;
    for lane in RecordType::MIRRORED {
        let read = store.read_lane(lane, floor.head.seq, 1 << 20, 1 << 30);
        let left = read.unwrap().blocks.len() as u64;
        let mark = Mark {
            seq: store.view().head.seq,
            mirrored: floor.counts[lane] + left,
            dead_lettered: 0,
        };
        store.advance(lane, mark, vec![]).await.unwrap();
        assert_eq!(store.view().backlog(lane), 0);
    }
}

#[tokio::test]
async fn a_lane_with_few_records_holds_up_only_what_it_has_not_mirrored() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let rare = || {
        let data = r#"{"project_id":"p","build_id":"b","status":"queued"}"#;
        let record = Record::from_json(RecordType::ProjectBuild, data).unwrap();
        vec![NewRecord { record, key: None }]
    };
    store.append(rare()).await.unwrap();
    let settled = Mark {
        seq: 1,
        mirrored: 1,
        dead_lettered: 0,
    };
    store
        .advance(RecordType::ProjectBuild, settled, vec![])
        .await
        .unwrap();
    fill(&store, 0, 2_500).await;
    store.append(rare()).await.unwrap();
    let unmirrored = store.view().head.seq;
    fill(&store, 0, 600).await;
    wait_until_sealed(&store).await;
    mirror_all_to(&store, store.view().head.seq).await;
    let ends = ends(&store);
    store.prune(EVERYTHING, true).await.unwrap();
    let floor = store.view().floor.head.seq;
    let blocked = store.view().retention.blocked_by;
    assert_eq!(blocked, Some(Blocker::Lane(RecordType::ProjectBuild)));
    assert!(
        floor < unmirrored && ends.contains(&floor),
        "{floor} of {ends:?}"
    );
    assert!(ends.iter().all(|end| *end <= floor || *end >= unmirrored));
}

#[tokio::test]
async fn what_a_rollback_would_mirror_stays_until_the_cutover_and_then_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    fill(&store, 0, 1_500).await;
    store.set_phase(Phase::MigrateInternals, 2).await.unwrap();
    fill(&store, 0, 1_500).await;
    wait_until_sealed(&store).await;
    let ends = ends(&store);
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(
        store.view().floor,
        Floor::default(),
        "the lanes owe what was before"
    );
    mirror_all_to(&store, 1_500).await;
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, ends[1], "{ends:?}");
    assert_eq!(store.view().retention.blocked_by, Some(Blocker::Rollback));

    store.set_phase(Phase::CutOver, 3).await.unwrap();
    store.prune(EVERYTHING, true).await.unwrap();
    let floor = store.view().floor;
    assert_eq!(floor.head.seq, *ends.last().unwrap());
    assert_eq!(
        floor.unmirrored.values().sum::<u64>(),
        floor.head.seq - 1_500
    );
    assert_eq!(store.view().marks[RecordType::AuditLog].seq, floor.head.seq);
    assert!(
        RecordType::MIRRORED
            .iter()
            .all(|lane| store.view().backlog(*lane) == 0)
    );

    // A return goes on from the floor, and the backlog is what there is to read.
    store.set_phase(Phase::DualWrite, 4).await.unwrap();
    for lane in RecordType::MIRRORED {
        let mark = store.view().marks[lane].seq;
        let read = store.read_lane(lane, mark, 1 << 20, 1 << 30).unwrap();
        assert_eq!(
            store.view().backlog(lane),
            read.blocks.len() as u64,
            "{lane}"
        );
    }
}

#[tokio::test]
async fn backlogs_after_a_cutovers_pruning_are_right_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    store.prune(EVERYTHING, true).await.unwrap();
    store.set_phase(Phase::DualWrite, 4).await.unwrap();
    let backlogs = RecordType::MIRRORED.map(|lane| store.view().backlog(lane));
    close(store);
    let store = opened(dir.path());
    assert_eq!(
        RecordType::MIRRORED.map(|lane| store.view().backlog(lane)),
        backlogs
    );
    for (lane, backlog) in RecordType::MIRRORED.into_iter().zip(backlogs) {
        let mark = store.view().marks[lane].seq;
        let read = store.read_lane(lane, mark, 1 << 20, 1 << 30).unwrap();
        assert_eq!(backlog, read.blocks.len() as u64, "{lane}");
    }
}

#[tokio::test]
async fn a_cutover_takes_dead_letters_along_but_nothing_that_a_lane_still_owes() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    fill(&store, 0, 1_500).await;
    store.set_phase(Phase::CutOver, 2).await.unwrap();
    fill(&store, 0, 1_500).await;
    wait_until_sealed(&store).await;
    let (lane, ends) = (RecordType::AuditLog, ends(&store));
    mirror_to(&store, RecordType::AgentHealth, 1_500).await;
    mirror_to(&store, lane, ends[0] + 10).await;
    let mark = Mark {
        mirrored: store.view().marks[lane].mirrored - 1,
        ..store.view().marks[lane]
    };
    store
        .advance(lane, mark, vec![dead_letter(lane, 4)])
        .await
        .unwrap();
    store.prune(EVERYTHING, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, ends[0]);
    assert_eq!(store.view().retention.blocked_by, Some(Blocker::Lane(lane)));
    assert_eq!(store.dead_letters(lane, 0, 10).unwrap(), []);
    assert_eq!(store.view().marks[lane].dead_lettered, 0);
    assert_eq!(store.view().floor.unmirrored[lane], 1);
    let read = store.read_lane(lane, store.view().marks[lane].seq, 1 << 20, 1 << 30);
    assert_eq!(
        store.view().backlog(lane),
        read.unwrap().blocks.len() as u64
    );
}

#[tokio::test]
async fn a_key_is_forgotten_with_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.append(vec![keyed(7, "k")]).await.unwrap();
    fill(&store, 0, 2_000).await;
    wait_for_segments(&store, 2).await;
    let again = store.append(vec![keyed(7, "k")]).await.unwrap();
    assert!(again[0].unwrap().replayed);
    store.prune(EVERYTHING, false).await.unwrap();
    let anew = store.append(vec![keyed(7, "k")]).await.unwrap();
    assert!(!anew[0].unwrap().replayed);
    let again = store.append(vec![keyed(7, "k")]).await.unwrap();
    assert_eq!(
        (again[0].unwrap().seq, true),
        (anew[0].unwrap().seq, again[0].unwrap().replayed)
    );
}

#[tokio::test]
async fn an_idle_strands_tail_is_sealed_and_pruned_by_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(dir.path())).unwrap();
    let begun = std::time::Instant::now();
    fill(&store, 0, 20).await;
    let policy = Policy {
        max_age_ms: Some(6_000),
        max_size_bytes: None,
    };
    while store.view().floor.head.seq < 20 {
        assert!(begun.elapsed() < GUARD, "{:?}", store.view().footprint);
        store.prune(policy, false).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() >= Duration::from_secs(6));
    assert!(verdict(&store).ok);
    assert_eq!((verdict(&store).verified, store.view().head.seq), (1, 21));
    // What is left is the record of the pruning. It is sealed in its turn, but pruning it would only make another one.
    let policy = Policy {
        max_age_ms: Some(1),
        ..policy
    };
    while store.view().footprint.segments == 0 {
        assert!(begun.elapsed() < GUARD, "{:?}", store.view().footprint);
        store.prune(policy, false).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let view = store.view();
    store.prune(policy, false).await.unwrap();
    assert_eq!(
        (store.view().floor, store.view().head),
        (view.floor, view.head)
    );
    assert_eq!(view.head.seq, 21);
    fill(&store, 0, 1).await;
    assert_eq!(verdict(&store).verified, 2);
}

#[tokio::test]
async fn whoever_reads_while_the_floor_rises_is_told_of_pruning_and_never_of_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::DualWrite).await;
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let store = store.clone();
            tokio::task::spawn_blocking(move || {
                let mut told = 0;
                while store.view().floor.head.seq < 6_000 {
                    let (head, seq) = (store.view().head.seq, store.view().floor.head.seq + 1);
                    match store.block(seq) {
                        Ok(Some(block)) => assert_eq!(block.header.seq, seq),
                        Ok(None) => assert!(seq > head, "{seq} is not there"),
                        Err(ReadError::Pruned { floor }) => told += u64::from(floor >= seq),
                        Err(error) => panic!("{error}"),
                    }
                    let query = PageQuery {
                        before: seq + 700,
                        ..everything(&store)
                    };
                    assert!(store.page(&query).missing.is_empty());
                    if reader == 0 {
                        let found = verdict(&store);
                        assert!(found.ok, "{found:?}");
                    }
                    let read = store.read_lane(RecordType::AuditLog, seq - 1, 10, 1 << 20);
                    read.unwrap();
                }
                told
            })
        })
        .collect();
    let mut n = 0;
    while store.view().floor.head.seq < 6_000 {
        fill(&store, n, n + 300).await;
        n += 300;
        store.prune(EVERYTHING, false).await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_legal_hold_keeps_everything_that_any_run_of_retention_would_take_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let before = segment_files(dir.path());
    store.hold(true);
    for needed in [Needed::Nothing, Needed::Owed, Needed::WayBack] {
        store.prune_beside(needed, EVERYTHING).await.unwrap();
        let retention = store.view().retention;
        assert_eq!(
            (retention.hold, retention.blocked_by),
            (true, Some(Blocker::LegalHold))
        );
    }
    assert_eq!(store.view().floor, Floor::default());
    assert_eq!(segment_files(dir.path()), before);
    store.prune(Policy::default(), false).await.unwrap();
    assert_eq!(
        store.view().retention.blocked_by,
        None,
        "nothing would go anyway"
    );
    store.prune(EVERYTHING, false).await.unwrap();
    store.hold(false);
    assert_eq!(store.view().retention.blocked_by, None);
    store.prune(EVERYTHING, false).await.unwrap();
    assert!(store.view().floor.head.seq >= 2_000);
    // What is gone stays gone, and nothing more goes.
    store.hold(true);
    let floor = store.view().floor;
    fill(&store, 3_000, 6_000).await;
    wait_until_sealed(&store).await;
    store.prune(EVERYTHING, false).await.unwrap();
    assert_eq!(store.view().floor, floor);
    assert!(verdict(&store).ok);
    store.close();
}

#[tokio::test]
async fn a_legal_hold_is_shown_when_the_pruning_from_before_it_is_over_and_none_begins_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = strand_in(dir.path(), Phase::CutOver).await;
    let shows = |hold| assert_eq!(store.view().retention.hold, hold);
    assert!(store.shared.change(State::begin_pruning));
    assert!(store.hold(true) && !store.hold(true));
    shows(false);
    store.shared.change(State::end_pruning);
    shows(true);
    assert!(!store.shared.change(State::begin_pruning));
    assert!(store.hold(false));
    assert!(store.shared.change(State::begin_pruning));
    store.hold(true);
    store.hold(false);
    shows(false);
    store.shared.change(State::end_pruning);
    shows(false);
    store.close();
}
