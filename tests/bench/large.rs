//! What a large strand takes: disk, memory under load, time to open and to read, each against the same
//! of a small one where it must not grow.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use boboyka_tests::Sidecar;
use serde_json::Value;

use crate::figure::Figure;
use crate::load::{Load, MEASURE, address};

/// Records of the small strand.
const SMALL: u64 = 10_000;
/// Requests of one kind in a row, each timed.
const READS: usize = 50;

/// Fills two strands and says what they take.
pub(crate) async fn compare(records: u64) {
    let mut small = filled(SMALL).await;
    let mut large = filled(records).await;
    small.say_size();
    large.say_size();
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
    peak_mib: u64,
}

/// A strand with at least this number of records.
async fn filled(records: u64) -> Filled {
    let mut sidecar = Sidecar::start().await;
    let begun = Instant::now();
    let load = Load::batch(4, 1000);
    let address: SocketAddr = address(&sidecar);
    let mut total = total_events(&sidecar).await;
    while total < records {
        let time = if records > SMALL {
            MEASURE
        } else {
            Duration::from_millis(5)
        };
        load.run(address, time).await;
        total = total_events(&sidecar).await;
    }
    // The kernel's own high-water mark: nothing between two looks escapes it.
    let peak_mib = status_field(sidecar.process().pid(), "VmHWM:") / 1024;
    Filled {
        sidecar,
        records: total,
        took: begun.elapsed(),
        peak_mib,
    }
}

impl Filled {
    fn say_size(&self) {
        let disk = folder_bytes(&self.sidecar.data_dir()) as f64;
        let raw = Load::raw_bytes_per_record() * self.records as f64;
        println!(
            "{} records in {:.0} s: peak resident {} MiB, disk ÷ raw blocks {:.2} ({:.0} B a record)",
            self.records,
            self.took.as_secs_f64(),
            self.peak_mib,
            disk / raw,
            disk / self.records as f64
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
        let answer = request.timeout(Duration::from_mins(10)).send().await;
        let text = answer.unwrap().text().await.unwrap();
        assert!(
            text.lines().last().unwrap().contains("\"ok\":true"),
            "{text}"
        );
        println!(
            "    verify: {:.0} records/s",
            self.records as f64 / begun.elapsed().as_secs_f64()
        );
    }
}

async fn total_events(sidecar: &Sidecar) -> u64 {
    sidecar.get("/v1/boboyka/status").await["total_events"]
        .as_u64()
        .unwrap()
}

/// A number of /proc/PID/status, in the unit it has there.
fn status_field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn folder_bytes(folder: &Path) -> u64 {
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
