//! What a large strand takes: disk, memory under load, time to open and to read, each against the same
//! of a small one where it must not grow.

use std::path::Path;
use std::time::{Duration, Instant};

use boboyka_tests::Sidecar;
use serde_json::Value;

use crate::figure::Figure;
use crate::ingest::IDLE;
use crate::load::{Load, MEASURE};
use crate::measured::Measured;

/// Records of the small strand.
const SMALL: u64 = 10_000;
/// Requests of one kind in a row, each timed.
const READS: usize = 50;
/// A verification that takes longer has failed.
const VERIFY_GUARD: Duration = Duration::from_mins(10);

/// Fills two strands and says what they take.
pub(crate) async fn compare(records: u64) {
    let mut small = filled(SMALL).await;
    let mut large = filled(records).await;
    small.say_size();
    large.say_size();
    small.say_resident().await;
    large.say_resident().await;
    let names = ["newest page", "page in the middle", "page of one type"];
    let (small_pages, large_pages) = (small.pages().await, large.pages().await);
    for ((name, small), large) in names.into_iter().zip(small_pages).zip(large_pages) {
        say_growth(name, small, large);
    }
    let (small_opens, large_opens) = (small.opens().await, large.opens().await);
    say_growth("start to ready after kill -9", small_opens, large_opens);
    large.verify().await;
}

fn say_growth(what: &str, small: Figure, large: Figure) {
    let ratio = large.median / small.median;
    println!("    {what}: {large:.1} ms, at {SMALL} records {small:.1} ms, ratio {ratio:.2}");
}

struct Filled {
    sidecar: Sidecar,
    records: u64,
    took: Duration,
    peak_mib: f64,
    written_bytes: u64,
}

/// A strand with at least this number of records.
async fn filled(records: u64) -> Filled {
    let mut sidecar = Sidecar::start().await;
    let begun = Instant::now();
    let load = Load::batch(4, 1000);
    let server = Measured::of(&mut sidecar);
    let mut total = total_events(&sidecar).await;
    while total < records {
        let time = if records > SMALL {
            MEASURE
        } else {
            Duration::from_millis(5)
        };
        load.run(server.address, time).await;
        total = total_events(&sidecar).await;
    }
    Filled {
        records: total,
        took: begun.elapsed(),
        peak_mib: server.peak_mib(),
        written_bytes: server.written_bytes(),
        sidecar,
    }
}

impl Filled {
    fn say_size(&self) {
        let disk = folder_bytes(&self.sidecar.data_dir()) as f64;
        let raw = Load::raw_bytes_per_record() * self.records as f64;
        println!(
            "{} records in {:.0} s: peak resident {:.0} MiB, disk ÷ raw blocks {:.2} ({:.0} B a record), bytes written ÷ raw blocks {:.2}",
            self.records,
            self.took.as_secs_f64(),
            self.peak_mib,
            disk / raw,
            disk / self.records as f64,
            self.written_bytes as f64 / raw
        );
    }

    /// Resident memory after a start, when nothing has been asked yet.
    async fn say_resident(&mut self) {
        self.sidecar.kill_9();
        self.sidecar.restart().await;
        tokio::time::sleep(IDLE).await;
        let resident = Measured::of(&mut self.sidecar).resident_mib();
        println!(
            "    resident after a start with {} records: {resident:.1} MiB",
            self.records
        );
    }

    /// Milliseconds of a page of events: newest, in the middle, of one type.
    async fn pages(&self) -> [Figure; 3] {
        let newest = self.sidecar.get("/v1/boboyka/events?limit=1").await;
        let newest = newest["events"][0]["ingested_at_ms"].as_u64().unwrap();
        let middle = u128::from(newest).saturating_sub(self.took.as_millis() / 2);
        let queries = [
            "limit=50".to_owned(),
            format!("limit=50&until_ms={middle}"),
            "limit=50&record_type=audit_log".to_owned(),
        ];
        let mut figures = Vec::new();
        for query in queries {
            let mut times = Vec::new();
            for _ in 0..READS {
                let begun = Instant::now();
                let page: Value = self
                    .sidecar
                    .get(&format!("/v1/boboyka/events?{query}"))
                    .await;
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
                assert!(page["events"].is_array(), "{page}");
            }
            figures.push(Figure::of(times));
        }
        [figures[0], figures[1], figures[2]]
    }

    /// Milliseconds from the start of the process to its first `ready`, each after a kill -9.
    async fn opens(&mut self) -> Figure {
        let mut opens = Vec::new();
        for _ in 0..5 {
            self.sidecar.kill_9();
            let begun = Instant::now();
            self.sidecar.restart().await;
            opens.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        Figure::of(opens)
    }

    async fn verify(&self) {
        let begun = Instant::now();
        let request = self
            .sidecar
            .request(reqwest::Method::GET, "/v1/boboyka/verify");
        let answer = request.timeout(VERIFY_GUARD).send().await;
        let text = answer.unwrap().text().await.unwrap();
        assert!(
            text.lines().last().unwrap().contains("\"ok\":true"),
            "{text}"
        );
        let rate = self.records as f64 / begun.elapsed().as_secs_f64();
        let bytes = Load::raw_bytes_per_record();
        let hashed = blake3_bytes_per_second() / bytes;
        println!(
            "    verify: {rate:.0} records/s; BLAKE3 of as many bytes on one core {hashed:.0} records/s, ratio {:.2}",
            rate / hashed
        );
    }
}

/// How fast one core hashes headers and payloads of an average length, each by itself, as a verifier must.
fn blake3_bytes_per_second() -> f64 {
    let header = [7; boboyka_strand::block::HEADER_LEN];
    let payload = vec![7; Load::raw_bytes_per_record() as usize - header.len()];
    let (begun, mut hashed) = (Instant::now(), 0);
    while begun.elapsed() < MEASURE {
        for _ in 0..1000 {
            std::hint::black_box(blake3::hash(std::hint::black_box(&header)));
            std::hint::black_box(blake3::hash(std::hint::black_box(&payload)));
            hashed += header.len() + payload.len();
        }
    }
    hashed as f64 / begun.elapsed().as_secs_f64()
}

pub(crate) async fn total_events(sidecar: &Sidecar) -> u64 {
    sidecar.get("/v1/boboyka/status").await["total_events"]
        .as_u64()
        .unwrap()
}

pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| {
            let file = entry.metadata().unwrap();
            if file.is_dir() {
                folder_bytes(&entry.path())
            } else {
                file.len()
            }
        })
        .sum()
}
