//! What it costs to compare Supabase's tables with the strand: against one query over the same rows in psql, and what an
//! ingest waits longer while it runs, and while somebody else reads the same database.

use std::time::{Duration, Instant, SystemTime};

use boboyka_strand::RecordType;
use boboyka_tests::process::GUARD;
use boboyka_tests::{Sidecar, Supabase};

use crate::figure::Figure;
use crate::load::{self, Load};

/// How long the load of one round runs: shorter than new records stay uncompared, so that what is measured without a
/// comparison is without one.
const LOAD: Duration = Duration::from_secs(4);

/// What reads each row as a whole once; counting alone reads none of them.
const WHOLE: &str = "select count(*), sum(octet_length(t::text))";
const COUNT: &str = "select count(*), min(seq), max(seq)";

/// Prints both. The rows are those that the mirror of a strand has sent.
pub(crate) async fn compare(records: u64, connections: &[usize], rounds: usize) {
    let supabase = Supabase::start().await;
    let folder = supabase.folder();
    let arguments = ["--supabase-dir", folder.to_str().unwrap()];
    let sidecar = Sidecar::start_with(&arguments, &[]).await;
    for first in (0..records).step_by(1000) {
        let body = load::array(first, 1000);
        let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
        assert_eq!(status, 200, "{answer}");
    }
    mirrored(&sidecar).await;
    supabase.sql("vacuum analyze");
    let (mut parity, mut whole, mut count) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        parity.push(compared(&sidecar).await);
        whole.push(queried(&supabase, WHOLE));
        count.push(queried(&supabase, COUNT));
    }
    let [parity, whole, count] = [parity, whole, count].map(Figure::of);
    println!(
        "parity of {records} records: {parity:.2} s  psql: rows {whole:.2} s, count {count:.2} s"
    );
    println!(
        "    parity ÷ reading each row {:.1}  ÷ counting {:.1}",
        parity.median / whole.median,
        parity.median / count.median
    );
    for connections in connections {
        waits(&supabase, &sidecar, &Load::single(*connections), rounds).await;
    }
}

/// Prints the p99 of an ingest with and without a comparison, and while psql reads rows half of the time: a comparison that
/// somebody asked for works half of the time, and where the database shares the processor, each of its readers costs.
async fn waits(supabase: &Supabase, sidecar: &Sidecar, load: &Load, rounds: usize) {
    let (mut without, mut with, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        mirrored(sidecar).await;
        compared(sidecar).await;
        without.push(p99(sidecar, load).await);
        mirrored(sidecar).await;
        let mut comparison = std::pin::pin!(compared(sidecar));
        let sample = tokio::select! {
            biased;
            sample = p99(sidecar, load) => sample,
            _ = &mut comparison => panic!("the comparison ended before the load: take more records"),
        };
        with.push(sample);
        comparison.await;
        mirrored(sidecar).await;
        compared(sidecar).await;
        let mut reader = supabase.sql_behind(&half_of_the_time());
        read.push(p99(sidecar, load).await);
        reader.wait(GUARD);
    }
    let [without, with, read] = [without, with, read].map(Figure::of);
    println!(
        "{load}: ingest p99 without a comparison {without} µs, while one runs {with} µs, while psql reads {read} µs"
    );
    println!(
        "    with ÷ without {:.2}  with ÷ psql reads {:.2}",
        with.median / without.median,
        with.median / read.median
    );
}

/// Reads rows as a whole for as long as a load runs, and rests as long after each reading.
fn half_of_the_time() -> String {
    let seconds = LOAD.as_secs();
    format!(
        "do $$ declare begun timestamptz := clock_timestamp(); at timestamptz; begin \
           while clock_timestamp() < begun + interval '{seconds} seconds' loop \
             at := clock_timestamp(); \
             perform sum(octet_length(t::text)) from (select * from project_builds limit 20000) t; \
             perform pg_sleep(extract(epoch from clock_timestamp() - at)); \
           end loop; end $$"
    )
}

async fn p99(sidecar: &Sidecar, load: &Load) -> f64 {
    let sample = load.run(load::address(sidecar), LOAD).await;
    sample.latencies.quantile_us(0.99)
}

/// Compares everything anew; how many seconds that took.
async fn compared(sidecar: &Sidecar) -> f64 {
    let begun = Instant::now();
    let begun_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let begun_ms = begun_ms.unwrap().as_millis() as u64;
    let paths = RecordType::MIRRORED.map(|lane| format!("/v1/boboyka/mirror/check?lane={lane}"));
    // An answer comes after a minute at most, and the comparison goes on behind it.
    let asking = paths.iter().map(|path| sidecar.post(path, ""));
    futures_util::future::join_all(asking).await;
    lanes(sidecar, |lane| {
        let parity = &lane["parity"];
        for difference in ["missing", "changed", "extra", "doubled"] {
            assert!(parity[difference].as_u64().unwrap_or(0) == 0, "{lane}");
        }
        parity["checked_at_ms"].as_u64() >= Some(begun_ms)
    })
    .await;
    begun.elapsed().as_secs_f64()
}

async fn mirrored(sidecar: &Sidecar) {
    lanes(sidecar, |lane| lane["backlog"] == 0).await;
}

async fn lanes(sidecar: &Sidecar, is_so: impl Fn(&serde_json::Value) -> bool) {
    loop {
        let status = sidecar.get("/v1/boboyka/mirror").await;
        if status["lanes"].as_array().unwrap().iter().all(&is_so) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many seconds a query over all four tables takes in psql, its start included.
fn queried(supabase: &Supabase, select: &str) -> f64 {
    let tables = RecordType::MIRRORED.map(|lane| lane.table().unwrap_or_default());
    let sql: Vec<String> = tables
        .iter()
        .map(|table| format!("{select} from {table} t;"))
        .collect();
    let begun = Instant::now();
    supabase.sql(&sql.join(" "));
    begun.elapsed().as_secs_f64()
}
