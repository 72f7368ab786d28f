use boboyka_crds::LegacyList;
use boboyka_store::{ListChange, Mark, NewRecord, Options};
use boboyka_strand::{Record, RecordType};
use tempfile::TempDir;

use super::*;

/// A follower of a store without a mirror.
struct Following {
    store: Store,
    integration: watch::Sender<Integration>,
    boundary: watch::Receiver<Option<TransitionProgress>>,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
    _folder: TempDir,
}

impl Following {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(folder.path())).unwrap();
        let shutdown = CancellationToken::new();
        let (integration, obeyed) = watch::channel(Integration::standalone());
        let (boundary, task) = follow(store.clone(), obeyed, shutdown.clone()).await;
        Self {
            store,
            integration,
            boundary,
            task,
            shutdown,
            _folder: folder,
        }
    }

    async fn ingest(&self, count: usize) -> Seq {
        let data = r#"{"agent_id":"a","status":"healthy"}"#;
        let record = Record::from_json(RecordType::AgentHealth, data).unwrap();
        let new = NewRecord { record, key: None };
        let appended = self.store.append(vec![new; count]).await.unwrap();
        appended.last().unwrap().as_ref().unwrap().seq
    }

    fn ask(&self, transition: Option<i64>) {
        self.integration
            .send_modify(|integration| integration.transition = transition);
    }

    async fn shown(&mut self, is_so: impl Fn(&TransitionProgress) -> bool) -> TransitionProgress {
        let wait = self
            .boundary
            .wait_for(|shown| shown.as_ref().is_some_and(&is_so));
        wait.await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
        let close = move || self.store.close();
        tokio::task::spawn_blocking(close).await.unwrap();
    }
}

#[tokio::test]
async fn the_phase_in_force_is_obeyed_at_the_start_and_after_every_edit() {
    let following = Following::start().await;
    let mut phase = following.store.watch_phase();
    assert_eq!(phase.borrow_and_update().unwrap().phase, Phase::DualWrite);
    for wanted in [Phase::MigrateInternals, Phase::CutOver, Phase::DualWrite] {
        let in_force = Some(InForce {
            phase: wanted,
            generation: 2,
        });
        following
            .integration
            .send_modify(|integration| integration.in_force = in_force);
        let obeyed = phase.wait_for(|state| state.is_some_and(|state| state.phase == wanted));
        obeyed.await.unwrap();
    }
    following.stop().await;
}

#[tokio::test]
async fn a_list_that_the_strand_has_no_room_for_is_trouble_and_is_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(folder.path())).unwrap();
    let mut first = Integration::standalone();
    first.in_force = Some(InForce {
        phase: Phase::MigrateInternals,
        generation: 2,
    });
    let (integration, obeyed) = watch::channel(first);
    let mut follower = Follower {
        store,
        integration: obeyed,
        boundary: watch::channel(None).0,
        fixed: None,
        trouble: Trouble::with("put the phase into force"),
    };
    // Half of what the strand remembers, and one more.
    let names = |kind: &str| {
        (0..50_001)
            .map(|n| format!("{kind}-{n}"))
            .collect::<Vec<_>>()
    };
    for (generation, names) in [(2, names("a")), (3, names("b")), (4, Vec::new())] {
        let list = ListChange {
            list: LegacyList::of(names, false),
            generation,
            ..ListChange::default()
        };
        integration.send_modify(|integration| integration.legacy = Some(list));
        let pending = follower.step().await;
        let is_full = generation == 4;
        assert_eq!(pending.retry.is_some(), is_full, "{generation}");
        let told = format!("{:?}", follower.trouble);
        assert_eq!(told.contains(LIST_FULL), is_full, "{told}");
    }
    integration.send_modify(|integration| {
        let names = names("b");
        let list = LegacyList::of(names, false);
        integration.legacy = Some(ListChange {
            list,
            ..ListChange::default()
        });
    });
    assert!(follower.step().await.retry.is_none());
    assert!(!format!("{:?}", follower.trouble).contains(LIST_FULL));
    let store = follower.store;
    tokio::task::spawn_blocking(move || store.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_boundary_is_fixed_when_the_change_is_seen_and_drained_when_the_lanes_came_so_far() {
    let mut following = Following::start().await;
    let seq = following.ingest(30).await;
    assert_eq!(*following.boundary.borrow(), None);
    following.ask(Some(7));
    let fixed = following.shown(|_| true).await;
    assert_eq!(
        (fixed.generation, fixed.seq, fixed.drained),
        (7, seq, false)
    );
    let mark = Mark {
        seq,
        mirrored: 30,
        dead_lettered: 0,
    };
    let lane = RecordType::AgentHealth;
    following.store.advance(lane, mark, vec![]).await.unwrap();
    let drained = following.shown(|boundary| boundary.drained).await;
    let where_it_was = (fixed.seq, fixed.fixed);
    assert_eq!((drained.seq, drained.fixed), where_it_was);
    following.ingest(3).await;
    following.ask(Some(8));
    let next = following.shown(|boundary| boundary.generation == 8).await;
    assert_eq!(next.seq, seq + 3);
    let in_force = InForce {
        phase: Phase::MigrateInternals,
        generation: 8,
    };
    let step = |integration: &mut Integration| integration.in_force = Some(in_force);
    following.integration.send_modify(step);
    let second = following.shown(|boundary| boundary.fixed > next.fixed);
    assert_eq!(second.await.generation, 8, "the next step");
    following.ask(None);
    following.boundary.wait_for(Option::is_none).await.unwrap();
    following.stop().await;
}
