//! SIGKILL at any point of a change of phase, of sealing and of pruning: what was answered is in force, a
//! phase and its record are there together, and the strand holds from its floor on.

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use boboyka_crds::Phase;
use boboyka_store::{Options, PageQuery, Store};
use boboyka_strand::retention::Policy;
use boboyka_strand::{PayloadJson, RecordType, Seq};
use boboyka_tests::process::GUARD;
use serde_json::Value;
use tokio::time::timeout;

use crate::inside::{append, record};

const ROUNDS: u64 = 60;
/// Names the data folder to the child.
const FOLDER: &str = "BOBOYKA_TEST_FOLDER";

fn open(folder: &Path) -> Store {
    let options = Options {
        seal_blocks: 200,
        ..Options::new(folder)
    };
    Store::open(options).unwrap()
}

/// The killed process: changes phases, appends and prunes, and prints each phase that it was answered and each floor.
/// Does nothing unless the test below starts it.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_in_the_middle_of_it() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    print("opening");
    let store = open(Path::new(&folder));
    for writer in 0..4 {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                append(&store, (0..25).map(|n| record(writer + n, "")).collect()).await;
            }
        });
    }
    let pruned = store.clone();
    tokio::spawn(async move {
        loop {
            let policy = Policy {
                max_age_ms: None,
                max_size_bytes: Some(64 * 1024),
            };
            let before = pruned.view().floor.head.seq;
            pruned.prune(policy, false).await.unwrap();
            let floor = pruned.view().floor.head.seq;
            if floor > before {
                print(&format!("floor: {floor}"));
            }
        }
    });
    let (mut phase, begun) = store.view().phase.map_or((Phase::DualWrite, 0), |state| {
        (state.phase, state.generation)
    });
    let until_killed = async {
        for generation in begun + 1.. {
            phase = match phase {
                Phase::DualWrite => Phase::MigrateInternals,
                Phase::MigrateInternals => Phase::CutOver,
                Phase::CutOver => Phase::DualWrite,
            };
            let state = store.set_phase(phase, generation).await.unwrap();
            print(&format!("in force: {generation} {}", state.phase));
        }
    };
    // A test that waits for its lines sees its end.
    let _ = timeout(GUARD, until_killed).await;
}

/// A line for the parent, written at once.
fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// When a round kills: after this number of lines of a kind. Every third round kills while the strand is opened.
fn killed_after(round: u64) -> (&'static str, u64) {
    match round % 3 {
        0 => ("opening", 1),
        1 => ("in force: ", 1 + round * 37 % 50),
        _ => ("floor: ", 1 + round % 4),
    }
}

/// The changes of phase in the strand, newest first: seq and metadata.
fn changes(store: &Store) -> Vec<(Seq, Value)> {
    let mut query = PageQuery {
        record_type: Some(RecordType::AuditLog),
        before: Seq::MAX,
        since_ms: 0,
        until_ms: u64::MAX,
        limit: 1_000,
        ..PageQuery::default()
    };
    let mut found = Vec::new();
    loop {
        let page = store.page(&query).blocks;
        let Some(last) = page.last() else {
            return found;
        };
        query.before = last.header.seq;
        for block in page {
            let data = serde_json::to_value(PayloadJson(&block.payload)).unwrap();
            if data["event"] == "phase_changed" {
                found.push((block.header.seq, data["metadata"].clone()));
            }
        }
    }
}

/// Checks a strand after a kill before which a phase of this generation was answered; its floor.
fn check(folder: &Path, answered: Option<i64>) -> Seq {
    let store = open(folder);
    let verdict = store.verify(|_| ControlFlow::Continue(()));
    assert!(verdict.ok, "{verdict:?}");
    // A kill during the start can leave a half-written snapshot, which is set aside and holds nothing.
    let mut set_aside = store.quarantined();
    set_aside.retain(|found| !found.reason.starts_with("half-written snapshots"));
    assert!(set_aside.is_empty(), "{set_aside:?}");
    let state = store.view().phase;
    let changes = changes(&store);
    for pair in changes.windows(2) {
        assert_eq!(pair[0].1["from"], pair[1].1["to"], "{pair:?}");
    }
    if let (Some(state), Some((seq, metadata))) = (state, changes.first()) {
        assert_eq!(metadata["to"], state.phase.as_str());
        assert_eq!(metadata["generation"], state.generation);
        assert_eq!(metadata["boundary_seq"], seq - 1);
        if metadata["from"] == "DualWrite" {
            assert_eq!(state.mirror_until, Some(seq - 1));
        }
    }
    let generation = state.map_or(0, |state| state.generation);
    if let Some(answered) = answered {
        // At most one change, which was under way, is ahead of the last answer.
        assert!(
            (answered..=answered + 1).contains(&generation),
            "{answered} was answered, {generation} is in force"
        );
    }
    let floor = store.view().floor.head.seq;
    let kept = store.view().footprint;
    let files = std::fs::read_dir(folder.join("segments")).unwrap().count();
    assert_eq!(files, kept.segments, "files below the floor are left");
    store.close();
    floor
}

#[test]
fn a_kill_leaves_no_phase_without_its_record_and_nothing_below_the_floor() {
    let folder = tempfile::tempdir().unwrap();
    let mut floor = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "--test-threads=1"])
            .arg("kills::a_process_that_is_killed_in_the_middle_of_it")
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (kind, mut left) = killed_after(round);
        let (mut answered, mut killed) = (None, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, said)) = line.split_once("in force: ") {
                let generation = said.split_once(' ').and_then(|(said, _)| said.parse().ok());
                answered = generation.or(answered);
            }
            left = left.saturating_sub(u64::from(line.contains(kind)));
            if left == 0 && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "the process ended before it was killed");
        child.wait().unwrap();
        let now = check(folder.path(), answered);
        assert!(now >= floor, "the floor went back from {floor} to {now}");
        floor = now;
    }
    assert!(
        floor > 1_000,
        "the rounds that wait for the floor pruned {floor} records"
    );
}
