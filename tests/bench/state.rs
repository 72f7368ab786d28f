//! What questions for the past take on a large strand, against the same on a small one: states, histories, lists of keys.

use std::time::{Duration, Instant};

use boboyka_tests::Sidecar;
use serde_json::Value;

use crate::ingest::IDLE;
use crate::large::{folder_bytes, total_events};
use crate::load::Latencies;
use crate::measured::Measured;

/// Records of the small strand.
const SMALL: u64 = 10_000;
/// Versions of each key.
const VERSIONS: u64 = 10;
const BATCH: u64 = 1_000;
/// Requests of one kind in a row, each timed.
const ASKED: u64 = 2_000;
const PAGES: u64 = 200;

/// Fills two strands and asks both.
pub(crate) async fn compare(records: u64) {
    let mut small = Filled::with(SMALL).await;
    let mut large = Filled::with(records).await;
    small.say_size().await;
    large.say_size().await;
    for question in [
        Question::State,
        Question::AsOf,
        Question::Unknown,
        Question::History,
        Question::List,
        Question::ListAsOf,
        Question::Counts,
    ] {
        // In turn, so that both see the same machine.
        let (mut of_small, mut of_large) = (Latencies::default(), Latencies::default());
        for round in 0..question.asked() {
            of_small.push(small.ask(question, round).await);
            of_large.push(large.ask(question, round).await);
        }
        let ratio = |part| of_large.quantile_us(part) / of_small.quantile_us(part);
        println!(
            "    {question:?}: p50 {:.0} µs, p99 {:.0} µs; at {SMALL} records {:.0} and {:.0}; ratio {:.2} and {:.2}",
            of_large.quantile_us(0.5),
            of_large.quantile_us(0.99),
            of_small.quantile_us(0.5),
            of_small.quantile_us(0.99),
            ratio(0.5),
            ratio(0.99),
        );
    }
}

#[derive(Clone, Copy, Debug)]
enum Question {
    State,
    AsOf,
    Unknown,
    History,
    List,
    ListAsOf,
    Counts,
}

impl Question {
    fn asked(self) -> u64 {
        match self {
            Self::List | Self::ListAsOf | Self::Counts => PAGES,
            Self::State | Self::AsOf | Self::Unknown | Self::History => ASKED,
        }
    }
}

struct Filled {
    sidecar: Sidecar,
    records: u64,
    took: Duration,
}

impl Filled {
    async fn with(records: u64) -> Self {
        let sidecar = Sidecar::start().await;
        let begun = Instant::now();
        for first in (0..records).step_by(BATCH as usize) {
            let lines: String = (first..first + BATCH).map(|n| line(n, records)).collect();
            let request = sidecar.request(reqwest::Method::POST, "/v1/boboyka/ingest/batch");
            let request = request.header("content-type", "application/x-ndjson");
            let answer = request.body(lines).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        assert!(total_events(&sidecar).await >= records);
        Self {
            sidecar,
            records,
            took: begun.elapsed(),
        }
    }

    async fn say_size(&mut self) {
        let settled = self.settle().await;
        let versions = self.sidecar.data_dir().join("versions");
        let files = std::fs::read_dir(&versions).unwrap().count();
        let bytes = folder_bytes(&versions) as f64 / self.records as f64;
        self.sidecar.kill_9();
        let begun = Instant::now();
        self.sidecar.restart().await;
        let opened = begun.elapsed().as_secs_f64() * 1000.0;
        tokio::time::sleep(IDLE).await;
        let resident = Measured::of(&mut self.sidecar).resident_mib();
        println!(
            "{} records of {} keys in {:.0} s, merged {settled:.1} s later: {files} version files, {bytes:.2} B a record; \
             start {opened:.0} ms, resident after it {resident:.1} MiB",
            self.records,
            self.records / VERSIONS,
            self.took.as_secs_f64(),
        );
    }

    /// Waits until version files stay as they are; the seconds that it took.
    async fn settle(&self) -> f64 {
        let (begun, folder) = (Instant::now(), self.sidecar.data_dir().join("versions"));
        let mut before = Vec::new();
        loop {
            let entries = std::fs::read_dir(&folder).unwrap().flatten();
            let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
            if names == before {
                return begun.elapsed().as_secs_f64();
            }
            before = names;
            tokio::time::sleep(IDLE).await;
        }
    }

    async fn ask(&self, question: Question, round: u64) -> Duration {
        let keys = self.records / VERSIONS;
        let key = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
        let middle = self.records / 2;
        let path = match question {
            Question::State => format!("state/project_build/bld_{key:016x}"),
            Question::AsOf => format!("state/project_build/bld_{key:016x}?as_of=seq:{middle}"),
            Question::Unknown => format!("state/project_build/none_{key}"),
            Question::History => format!("history/project_build/bld_{key:016x}"),
            Question::List => "state/project_build?limit=100".to_owned(),
            Question::ListAsOf => format!("state/project_build?limit=100&as_of=seq:{middle}"),
            Question::Counts => format!("counts?as_of=seq:{middle}"),
        };
        let begun = Instant::now();
        let answer = self.sidecar.try_get(&format!("/v1/boboyka/{path}")).await;
        let took = begun.elapsed();
        check(question, &answer);
        took
    }
}

fn check(question: Question, (status, answer): &(u16, Value)) {
    let expected = if matches!(question, Question::Unknown) {
        404
    } else {
        200
    };
    assert_eq!(*status, expected, "{question:?}: {answer}");
    if let Some(states) = answer["states"].as_array() {
        assert_eq!(states.len(), 100);
    }
    if let Some(versions) = answer["versions"].as_array() {
        assert_eq!(versions.len() as u64, VERSIONS);
    }
}

/// A build, as agents send it; every key comes back after all others.
fn line(n: u64, records: u64) -> String {
    let key = n % (records / VERSIONS);
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    format!(
        r#"{{"record_type":"project_build","data":{{"project_id":"proj_{:08x}","build_id":"bld_{key:016x}","status":"running","agent_id":"boboyka_builder_{}","started_at_ms":{},"output_url":"https://cdn.example.com/builds/bld_{noise:016x}.tar.gz"}}}}
"#,
        noise % 5_000,
        noise % 40,
        1_747_000_000_000 + n * 137,
    )
}
