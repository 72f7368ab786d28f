//! Legacy projects: each record is mirrored or not by the list as it was at its own seq, whatever happens later.

use std::collections::{BTreeMap, BTreeSet};

use boboyka_crds::LegacyList;
use boboyka_strand::PayloadJson;
use serde_json::{Value, json};

use super::*;
use crate::format::Format;
use crate::job::{Job, LaneChange};
use crate::ledger::Ledger;
use crate::segment::Segment;

pub(super) fn list(names: &[&str], shared: bool) -> LegacyList {
    LegacyList::of(names.iter().map(ToString::to_string), shared)
}

pub(super) fn change(phase: Phase, generation: i64, list: LegacyList) -> PhaseChange {
    let by = Some("alice".to_owned());
    PhaseChange {
        list: Some(ListChange {
            list,
            generation,
            revision: 1,
            by,
        }),
        ..PhaseChange::to(phase, generation)
    }
}

fn build(project: &str) -> NewRecord {
    let data = format!(r#"{{"project_id":"{project}","build_id":"b","status":"queued"}}"#);
    NewRecord {
        record: Record::from_json(RecordType::ProjectBuild, &data).unwrap(),
        key: None,
    }
}

async fn builds(store: &Store, projects: &[&str]) -> Vec<Seq> {
    let records = projects.iter().map(|project| build(project)).collect();
    let appended = store.append(records).await.unwrap();
    appended.into_iter().map(|it| it.unwrap().seq).collect()
}

const LANE: RecordType = RecordType::ProjectBuild;

/// Settles what a lane has to send, and says what that was.
async fn send_all(store: &Store, lane: RecordType) -> Vec<Seq> {
    let mark = store.view().marks[lane];
    let read = store.read_lane(lane, mark.seq, 10_000, 1 << 30).unwrap();
    let sent: Vec<Seq> = read.blocks.iter().map(|block| block.header.seq).collect();
    let mark = Mark {
        seq: read.scanned_to,
        mirrored: mark.mirrored + sent.len() as u64,
        ..mark
    };
    store.advance(lane, mark, vec![]).await.unwrap();
    sent
}

fn newest(store: &Store) -> Value {
    let block = store.block(store.view().head.seq).unwrap().unwrap();
    serde_json::to_value(PayloadJson(&block.payload)).unwrap()
}

#[tokio::test]
async fn a_project_on_the_list_goes_on_and_ends_where_it_left_the_list_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let before = builds(&store, &["a", "x"]).await;
    let state = change(Phase::MigrateInternals, 2, list(&["a", "b"], false));
    let state = store.change_phase(state).await.unwrap();
    assert_eq!(state.legacy.unwrap().projects, 2);
    assert_eq!(newest(&store)["metadata"]["legacy"]["projects"], 2);
    let during = builds(&store, &["x", "a", "b", "x"]).await;
    let less = change(Phase::MigrateInternals, 3, list(&["b"], false));
    store.change_phase(less.clone()).await.unwrap();
    let told = newest(&store);
    assert_eq!(told["event"], "legacy_projects_changed");
    let (by, removed) = (&told["metadata"]["by"], &told["metadata"]["removed"]);
    assert_eq!((by, removed), (&json!("alice"), &json!(["a"])));
    assert_eq!(told["metadata"]["boundary_seq"], during[3]);
    let after = builds(&store, &["a", "b", "x"]).await;
    let head = store.view().head.seq;
    store.change_phase(less).await.unwrap();
    assert_eq!(store.view().head.seq, head, "a list is recorded once");
    let owed = [before[0], before[1], during[1], during[2], after[1]];
    assert_eq!(store.view().backlog(LANE), 5);
    close(store);

    let store = opened(dir.path());
    assert_eq!(store.view().backlog(LANE), 5);
    let place = store.view();
    assert!(!store.view().has_settled(&place));
    assert_eq!(send_all(&store, LANE).await, owed);
    assert!(store.view().has_settled(&place));
    let (named, departed) = store.legacy();
    assert_eq!(named, list(&["b"], false));
    assert_eq!(
        (&*departed[0].project, departed[0].boundary),
        ("a", during[3])
    );
    close(store);
    let store = opened(dir.path());
    assert_eq!(store.view().backlog(LANE), 0);
    assert!(send_all(&store, LANE).await.is_empty());
}

#[tokio::test]
async fn a_return_sends_what_a_lane_passed_over_and_a_late_lane_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    builds(&store, &["a", "x"]).await;
    let cut = change(Phase::MigrateInternals, 2, list(&["a"], false));
    store.change_phase(cut).await.unwrap();
    let during = builds(&store, &["x", "a", "a"]).await;
    assert_eq!(send_all(&store, LANE).await.len(), 4);
    let refused = dead_letter(LANE, during[2]);
    let mark = store.view().marks[LANE];
    let mark = Mark {
        mirrored: mark.mirrored - 1,
        ..mark
    };
    store.advance(LANE, mark, vec![refused]).await.unwrap();
    let era = store.era();
    store.set_phase(Phase::DualWrite, 3).await.unwrap();
    // The lane had sent something when the phase changed.
    let late = Mark {
        seq: during[2],
        ..mark
    };
    let letter = dead_letter(LANE, during[2]);
    store
        .advance_in(era, LANE, late, vec![letter])
        .await
        .unwrap();
    let at = store.view().marks[LANE];
    assert_eq!((at.seq, at.mirrored, at.dead_lettered), (2, 2, 0));
    assert_eq!(store.view().backlog(LANE), 3);
    assert_eq!(store.dead_letters(LANE, 0, 10).unwrap(), []);
    close(store);
    let store = opened(dir.path());
    assert_eq!(store.view().marks[LANE].seq, 2);
    assert_eq!(send_all(&store, LANE).await, during);
    assert_eq!(store.view().backlog(LANE), 0);
    assert_eq!(store.view().unmirrored(LANE), 0);
}

#[tokio::test]
async fn a_return_loses_no_dead_letter_that_a_lane_has_published_and_the_disk_does_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    let mut all = builds(&store, &["a", "x"]).await;
    let cut = change(Phase::MigrateInternals, 2, list(&["a"], false));
    store.change_phase(cut).await.unwrap();
    all.extend(builds(&store, &["x", "a"]).await);
    // The lane has sent all it may, and the second record was refused: readers see it at once, the writer later.
    let mark = Mark {
        seq: all[3],
        mirrored: 2,
        dead_lettered: 0,
    };
    let letters = vec![dead_letter(LANE, all[1])];
    let era = store.era();
    let seen = store.shared.change(|state| {
        state.advance(LANE, mark, letters.len());
        state.view().marks[LANE].dead_lettered
    });
    assert_eq!(seen, 1);
    store.set_phase(Phase::DualWrite, 3).await.unwrap();
    let (reply, done) = tokio::sync::oneshot::channel();
    let change = LaneChange::Advance {
        lane: LANE,
        mark,
        letters,
    };
    let late = Job::Lane { change, era, reply };
    store.shared.queue.push(late).unwrap();
    done.await.unwrap().unwrap();
    assert_eq!(store.view().backlog(LANE), 4);
    close(store);
    let store = opened(dir.path());
    assert_eq!(send_all(&store, LANE).await, all);
    assert_eq!(store.view().unmirrored(LANE), 0);
}

#[tokio::test]
async fn the_ledger_says_that_there_are_legacy_projects_before_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let none = change(Phase::MigrateInternals, 2, list(&[], true));
    store.change_phase(none).await.unwrap();
    let format = |dir: &Path| {
        let page = Ledger::read(dir).page.unwrap();
        page.summary().unwrap().format
    };
    assert_eq!(format(dir.path()), Format::First);
    let one = change(Phase::MigrateInternals, 3, list(&["a"], true));
    store.change_phase(one).await.unwrap();
    assert_eq!(format(dir.path()), Format::Legacy);
    close(store);
}

#[tokio::test]
async fn retention_keeps_what_a_list_has_mirrored_until_it_is_and_counts_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    store.set_phase(Phase::DualWrite, 1).await.unwrap();
    builds(&store, &["a"]).await;
    for lane in RecordType::MIRRORED {
        send_all(&store, lane).await;
    }
    store.set_phase(Phase::MigrateInternals, 2).await.unwrap();
    let cut = change(Phase::CutOver, 3, list(&["a"], false));
    store.change_phase(cut).await.unwrap();
    for _ in 0..20 {
        builds(&store, &["a", "x", "x"].repeat(50)).await;
    }
    wait_for_segments(&store, 4).await;
    let all = Policy {
        max_age_ms: None,
        max_size_bytes: Some(0),
    };
    store.prune(all, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, 0, "records wait");
    send_all(&store, LANE).await;
    store.prune(all, true).await.unwrap();
    let view = store.view();
    assert!(view.floor.head.seq > 600, "{:?}", view.floor);
    let pruned = view.floor.counts[LANE];
    let of_list = (0..pruned - 1).filter(|n| n % 3 == 0).count() as u64;
    assert_eq!(view.floor.unmirrored[LANE], pruned - 1 - of_list);
    store.set_phase(Phase::DualWrite, 4).await.unwrap();
    let left = store.view().counts[LANE] - pruned;
    assert_eq!(store.view().backlog(LANE), left);
    assert_eq!(send_all(&store, LANE).await.len() as u64, left);
}

#[tokio::test]
async fn all_records_of_a_segment_that_is_missing_are_owed_until_a_start_finds_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let cut = change(Phase::CutOver, 2, list(&["a"], false));
    store.change_phase(cut).await.unwrap();
    for _ in 0..10 {
        builds(&store, &["a", "x", "x"].repeat(50)).await;
    }
    // The list goes on for nobody, so that the counts alone keep the lane at work.
    let none = change(Phase::CutOver, 3, list(&[], false));
    store.change_phase(none).await.unwrap();
    wait_for_segments(&store, 1).await;
    let first = store.shared.state().memory().segments()[0].clone();
    let file = dir
        .path()
        .join("segments")
        .join(Segment::file_name(first.meta.first_seq()));
    close(store);
    let backup = dir.path().join("backup");
    fs::rename(&file, &backup).unwrap();

    let store = opened(dir.path());
    let in_segment = u64::from(first.meta.counts[LANE]);
    let behind = (in_segment..1500).filter(|n| n % 3 == 0).count() as u64;
    assert_eq!(store.view().backlog(LANE), in_segment + behind);
    assert!(!store.view().is_settled());
    assert!(store.read_lane(LANE, 0, 10_000, 1 << 30).is_err());
    let all = Policy {
        max_age_ms: None,
        max_size_bytes: Some(0),
    };
    store.prune(all, true).await.unwrap();
    assert_eq!(store.view().floor.head.seq, 0, "records wait");
    close(store);
    fs::rename(&backup, &file).unwrap();
    let store = opened(dir.path());
    assert_eq!(store.view().backlog(LANE), 500);
    assert_eq!(send_all(&store, LANE).await.len(), 500);
    assert!(store.view().is_settled());
}

/// A strand under random changes, with what it promised at each seq.
struct Walk {
    dir: tempfile::TempDir,
    store: Option<Store>,
    dice: u64,
    generation: i64,
    phase: Phase,
    until: Option<Seq>,
    list: LegacyList,
    /// Each record with its project, and whether the list promised it at its seq.
    records: BTreeMap<Seq, (RecordType, bool)>,
    sent: BTreeSet<Seq>,
    refused: BTreeSet<Seq>,
}

impl Walk {
    fn begin(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path());
        Self {
            dir,
            store: Some(store),
            dice: seed,
            generation: 1,
            phase: Phase::DualWrite,
            until: None,
            list: LegacyList::default(),
            records: BTreeMap::new(),
            sent: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % below
    }

    /// Takes in what the strand holds by now: records of the walk and the strand's own.
    fn catch_up(&mut self) {
        let known = self.records.keys().next_back().copied().unwrap_or(0);
        for seq in known + 1..=self.store().view().head.seq {
            let block = self.store().block(seq).unwrap().unwrap();
            let kind = block.header.record_type;
            let data = serde_json::to_value(PayloadJson(&block.payload)).unwrap();
            let promised = match data["project_id"].as_str() {
                Some(project) => self.list.contains(project),
                None => self.list.shared(),
            };
            self.records.insert(seq, (kind, promised));
        }
    }

    fn promises(&self, seq: Seq) -> bool {
        let is_before = self.until.is_none_or(|until| seq <= until);
        is_before || self.records[&seq].1
    }

    async fn append(&mut self) {
        let count = 1 + self.roll(30);
        let mut records = Vec::new();
        for _ in 0..count {
            let project = ["a", "b", "c", "d"][usize::try_from(self.roll(4)).unwrap()];
            let n = self.roll(1000);
            let one = self.roll(3) == 0;
            records.push(if one { record(n) } else { build(project) });
        }
        self.store().append(records).await.unwrap();
        self.catch_up();
    }

    async fn change(&mut self, phase: Phase, list: LegacyList) {
        self.generation += 1;
        let asked = change(phase, self.generation, list.clone());
        let boundary = self.store().view().head.seq;
        self.store().change_phase(asked).await.unwrap();
        self.until = match (phase.mirrors(), self.until) {
            (true, _) => None,
            (false, None) => Some(boundary),
            (false, until) => until,
        };
        (self.phase, self.list) = (phase, list);
        self.catch_up();
    }

    async fn some_list(&mut self) {
        let bits = self.roll(16);
        let named = ["a", "b", "c", "d"].into_iter().enumerate();
        let named = named.filter(|(at, _)| bits >> at & 1 == 1);
        let named: Vec<&str> = named.map(|(_, name)| name).collect();
        let shared = self.roll(2) == 0;
        let phase = self.phase;
        self.change(phase, list(&named, shared)).await;
    }

    async fn some_phase(&mut self) {
        let phases = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver];
        let phase = phases[usize::try_from(self.roll(3)).unwrap()];
        let list = self.list.clone();
        self.change(phase, list).await;
    }

    /// A lane sends some of its records; the last one may be refused.
    async fn send(&mut self) {
        let lane = RecordType::MIRRORED[usize::try_from(self.roll(4)).unwrap()];
        let most = usize::try_from(1 + self.roll(60)).unwrap();
        let mark = self.store().view().marks[lane];
        let read = self.store().read_lane(lane, mark.seq, most, 1 << 30);
        let read = read.unwrap();
        let mut seqs: Vec<Seq> = read.blocks.iter().map(|it| it.header.seq).collect();
        for seq in &seqs {
            assert!(self.promises(*seq), "{seq} was never promised");
        }
        let refused = (self.roll(8) == 0).then(|| seqs.pop()).flatten();
        let advanced = Mark {
            seq: read.scanned_to,
            mirrored: mark.mirrored + seqs.len() as u64,
            ..mark
        };
        let letters = refused.map(|seq| dead_letter(lane, seq));
        self.sent.extend(seqs);
        self.refused.extend(refused);
        let letters = letters.into_iter().collect();
        self.store().advance(lane, advanced, letters).await.unwrap();
    }

    fn restart(&mut self) {
        if let Some(store) = self.store.take() {
            close(store);
        }
        self.store = Some(opened(self.dir.path()));
    }

    fn check(&self) {
        let view = self.store().view();
        assert_eq!(view.mirror_until(), self.until);
        for lane in RecordType::MIRRORED {
            let mark = view.marks[lane].seq;
            let behind = self.records.range(mark + 1..);
            let owed = behind.filter(|(seq, (kind, _))| *kind == lane && self.promises(**seq));
            assert_eq!(view.backlog(lane), owed.count() as u64, "{lane}");
        }
    }
}

#[tokio::test]
async fn whatever_changes_each_record_is_sent_as_the_list_at_its_seq_promised() {
    for seed in 1..=6 {
        let mut walk = Walk::begin(seed);
        walk.change(Phase::DualWrite, LegacyList::default()).await;
        for _ in 0..250 {
            match walk.roll(16) {
                0..=4 => walk.append().await,
                5..=6 => walk.some_list().await,
                7 => walk.some_phase().await,
                8..=14 => walk.send().await,
                _ => walk.restart(),
            }
            walk.check();
        }
        walk.change(Phase::CutOver, list(&["a"], true)).await;
        walk.append().await;
        while !walk.store().view().is_settled() {
            walk.send().await;
        }
        let promised = walk.records.keys().filter(|seq| walk.promises(**seq));
        let kept = walk.sent.union(&walk.refused);
        let missing: Vec<_> = promised
            .filter(|seq| !kept.clone().any(|it| it == *seq))
            .collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
        assert!(verdict(walk.store()).ok);
    }
}
