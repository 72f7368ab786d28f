//! A sidecar without a cluster is killed at each place around the record of a change, of the phase or of the list of legacy
//! projects, while records come: after the start each seq of the strand is mirrored as the change promised that is in force there.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::promises::{Record, Rows, Strand, record};
use boboyka_tests::{Preload, Supabase, client};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::laptop::Laptop;
use crate::laptop_legacy::boundary;

/// Who posts at the same time.
const AGENTS: usize = 3;
/// Records between two changes.
const SOME: usize = 30;
const PHASE: &str = "phase_changed";
const LIST: &str = "legacy_projects_changed";
/// How a record of each begins, which compression leaves as it is.
const BEGIN: usize = 7;

/// The places of a kill, counted from the write of the record.
const PLACES: [(u64, &str); 4] = [
    (0, "before it is written"),
    (1, "before it is synced"),
    (2, "before anybody knows that it is synced"),
    (3, "before anything is said or written after it"),
];

/// A change: its record, the phase and the list asked for, and whether records of no project are mirrored.
struct Step {
    event: &'static str,
    phase: (&'static str, u8),
    list: &'static [&'static str],
    shared: bool,
}

/// There and back; with each list but the last one something is left out.
const STEPS: [Step; 5] = [
    step(PHASE, ("MigrateInternals", 2), &["proj_a", "proj_b"], false),
    step(LIST, ("MigrateInternals", 2), &["proj_b"], true),
    step(PHASE, ("CutOver", 3), &["proj_b"], true),
    step(LIST, ("CutOver", 3), &["proj_b", "proj_x"], false),
    step(PHASE, ("DualWrite", 1), &["proj_b", "proj_x"], false),
];

const fn step(
    event: &'static str,
    phase: (&'static str, u8),
    list: &'static [&'static str],
    shared: bool,
) -> Step {
    Step {
        event,
        phase,
        list,
        shared,
    }
}

/// A laptop with agents, and what was acknowledged to them.
struct Watched {
    laptop: Laptop,
    supabase: Supabase,
    preload: Preload,
    posted: Arc<AtomicU64>,
    acknowledged: HashSet<String>,
    strand: Strand,
}

impl Watched {
    /// Agents that post until the sidecar is gone, or each has posted `most` records; what was acknowledged.
    fn agents(&self, most: usize) -> JoinSet<Vec<String>> {
        let url = self.laptop.sidecar.url("/v1/boboyka/ingest");
        let mut agents = JoinSet::new();
        for _ in 0..AGENTS {
            let (url, posted) = (url.clone(), Arc::clone(&self.posted));
            agents.spawn(async move {
                let (client, mut acknowledged) = (client(), Vec::new());
                for _ in 0..most {
                    let (kind, data) = record("laptop", posted.fetch_add(1, Ordering::Relaxed));
                    let body = json!({"record_type": kind, "data": data});
                    let Ok(answer) = client.post(&url).json(&body).send().await else {
                        break;
                    };
                    let Ok(receipt) = answer.json::<Value>().await else {
                        break;
                    };
                    let hash = receipt["record_hash"].as_str();
                    acknowledged.push(hash.unwrap_or_else(|| panic!("{receipt}")).to_owned());
                }
                acknowledged
            });
        }
        agents
    }

    async fn told(&mut self, agents: JoinSet<Vec<String>>) {
        let told = agents.join_all().await;
        self.acknowledged.extend(told.into_iter().flatten());
    }

    /// Asks for a change, and has the sidecar killed at a place around its record.
    async fn is_killed(&mut self, step: &Step, place: u64) {
        self.laptop.sidecar.kill_9();
        let folder = self.laptop.sidecar.data_dir();
        let killed = self.preload.killed(&folder, &step.event[..BEGIN], place);
        self.laptop.sidecar.restart_in(killed).await;
        self.preload.arm();
        let before = self.posted.load(Ordering::Relaxed);
        let agents = self.agents(usize::MAX);
        let post = || async { self.posted.load(Ordering::Relaxed) > before + 10 };
        wait_until(GUARD, post, || self.laptop.told()).await;
        // The gates are no matter of this test, and wait for the scrub. Each force counts once.
        let at = format!("after {before} records");
        let force =
            format!("{{gates: [Drained, ChainIntact, Parity, NoForeignWrites], reason: {at}}}");
        let (list, shared) = (step.list.join(", "), step.shared);
        let migration = format!("legacyProjects: [{list}], legacyShared: {shared}, force: {force}");
        self.laptop.list(step.phase.0, &migration);
        let process = self.laptop.sidecar.process();
        assert!(!process.wait(GUARD), "it ended by itself");
        self.told(agents).await;
        self.laptop.sidecar.restart_in(Vec::new()).await;
    }

    /// All events of the strand, oldest first.
    async fn events(&self) -> Vec<Value> {
        let first = "/v1/boboyka/events?limit=1000&include=data".to_owned();
        let (mut events, mut path) = (Vec::new(), first.clone());
        loop {
            let page = self.laptop.sidecar.get(&path).await;
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("{first}&cursor={cursor}");
        }
        events.sort_by_key(|event| event["seq"].as_u64());
        events
    }

    /// Takes up what the strand promises from the one record of the change on.
    fn promises(&mut self, step: &Step, change: &Value) {
        let (promise, at) = (&mut self.strand.promise, boundary(change));
        match step.phase.1 {
            1 => promise.until = u64::MAX,
            2 if step.event == PHASE => {
                promise.until = at;
                promise.lists = vec![(at, step.list.to_vec(), step.shared)];
            }
            _ => promise.lists.push((at, step.list.to_vec(), step.shared)),
        }
    }

    /// Supabase gets what was promised at each seq, and nothing else.
    async fn promise_is_kept(&mut self, what: &str) {
        let events = self.events().await;
        let records = events.iter();
        let records = records.filter_map(|event| Record::of(event, &event["data"]));
        self.strand.records = records.collect();
        let held = self.strand.records.iter().map(Record::hash);
        let held: HashSet<&str> = held.collect();
        let lost = self.acknowledged.iter().find(|it| !held.contains(&***it));
        assert_eq!(lost, None, "{what}: an acknowledged record is lost");
        let strands = [self.strand.clone()];
        let rows = || Rows::of(&self.supabase, false);
        let is_there = || async { rows().missing(&strands).is_empty() };
        let missing = || {
            format!(
                "{what}: {:#?}\n{}",
                rows().missing(&strands),
                self.laptop.told()
            )
        };
        wait_until(GUARD, is_there, missing).await;
        let none = Vec::<String>::new();
        assert_eq!(rows().too_many(&strands), none, "{what}");
    }
}

/// The changes among the events: kind and metadata.
fn changes(events: &[Value]) -> Vec<(&str, &Value)> {
    let all = events.iter().map(|event| &event["data"]);
    let own = all.filter_map(|data| Some((data["event"].as_str()?, &data["metadata"])));
    own.filter(|(event, _)| [PHASE, LIST].contains(event))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_the_record_of_a_change_leaves_in_supabase_what_is_in_force_at_each_seq() {
    let supabase = Supabase::start().await;
    let mut all = Watched {
        laptop: Laptop::start(Some(&supabase)).await,
        supabase,
        preload: Preload::new(),
        posted: Arc::default(),
        acknowledged: HashSet::new(),
        strand: Strand::default(),
    };
    all.strand.promise.until = u64::MAX;
    let agents = all.agents(SOME);
    all.told(agents).await;
    let mut made = 0;
    for (place, place_text) in PLACES {
        for step in STEPS {
            let what = format!("{} to {:?}, killed {place_text}", step.event, step.phase);
            all.is_killed(&step, place).await;
            if place > 0 {
                let events = all.events().await;
                let changes = changes(&events);
                assert!(changes.len() > made, "{what}: what was written is lost");
            }
            all.laptop.obeys(step.phase.1).await;
            let is_made = || async { changes(&all.events().await).len() > made };
            wait_until(GUARD, is_made, || all.laptop.told()).await;
            let agents = all.agents(SOME);
            all.told(agents).await;
            let events = all.events().await;
            let changes = changes(&events);
            made += 1;
            assert_eq!(
                changes.len(),
                made,
                "{what}: each change once: {changes:#?}"
            );
            let (event, change) = changes[made - 1];
            assert_eq!(event, step.event, "{what}");
            all.promises(&step, change);
            all.promise_is_kept(&what).await;
        }
    }
    assert_eq!(
        all.laptop.sidecar.get("/v1/boboyka/verify").await["ok"],
        true
    );
}
