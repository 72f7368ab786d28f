//! The mirror's drain against the same rows inserted by hand: as many tables at once, as many rows a
//! request, through the same edge, PostgREST and Postgres.

use std::time::{Duration, Instant};

use boboyka_strand::RecordType;
use boboyka_tests::{Sidecar, Supabase};
use serde_json::Value;

use crate::figure::Figure;
use crate::load;

/// Records that wait in the strand when the mirror begins.
const RECORDS: u64 = 40_000;
/// Rows of a request, as the mirror sends them.
const ROWS: usize = 500;

/// Prints rows a second of both, and their ratio.
pub(crate) async fn compare(rounds: usize) {
    let supabase = Supabase::start().await;
    let tables = RecordType::MIRRORED.map(|kind| kind.table().unwrap_or_default());
    let truncate = format!("truncate {}", tables.join(", "));
    let (mut drained, mut inserted) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        drained.push(drain(&supabase).await);
        let requests = tables.map(|table| (table, requests(&supabase, table)));
        supabase.sql(&truncate);
        inserted.push(insert(&supabase, requests).await);
        supabase.sql(&truncate);
    }
    let (drained, inserted) = (Figure::of(drained), Figure::of(inserted));
    println!("mirror: drain {drained}/s  raw bulk insert {inserted}/s");
    println!("    drain ÷ raw {:.2}", drained.median / inserted.median);
}

/// Fills a strand without Supabase, then configures it.
async fn drain(supabase: &Supabase) -> f64 {
    let folder = supabase.folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let sidecar = Sidecar::start_with(&["--supabase-dir", folder.to_str().unwrap()], &[]).await;
    for first in (0..RECORDS).step_by(1000) {
        let (status, answer) = sidecar
            .post("/v1/boboyka/ingest/batch", &load::array(first, 1000))
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    supabase.write_folder(&supabase.jwt_key());
    let (mut begun, mut before) = (Instant::now(), 0);
    loop {
        let status = sidecar.get("/v1/boboyka/mirror").await;
        let lanes = status["lanes"].as_array().unwrap();
        let sum = |name: &str| -> u64 { lanes.iter().map(|l| l[name].as_u64().unwrap()).sum() };
        assert_eq!(sum("dead_lettered"), 0, "{status}");
        // The clock begins with the first rows: until then it waits for its settings.
        if before == 0 {
            (begun, before) = (Instant::now(), sum("mirrored"));
        }
        if sum("backlog") == 0 {
            return (RECORDS - before) as f64 / begun.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The rows that the mirror inserted, as bodies of requests.
fn requests(supabase: &Supabase, table: &str) -> Vec<String> {
    let mut rows = supabase.rows(table);
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("id");
    }
    let bodies = rows.chunks(ROWS).map(|rows| Value::from(rows).to_string());
    bodies.collect()
}

/// Inserts them once more, into empty tables.
async fn insert(supabase: &Supabase, requests: [(&'static str, Vec<String>); 4]) -> f64 {
    let client = boboyka_tests::client();
    let begun = Instant::now();
    let tasks = requests.map(|(table, bodies)| {
        let url = format!("{}/rest/v1/{table}", supabase.url());
        let (client, key) = (client.clone(), supabase.jwt_key());
        tokio::spawn(async move {
            for body in bodies {
                let request = client.post(&url).header("apikey", &key).bearer_auth(&key);
                let request = request
                    .header("content-type", "application/json")
                    .header("prefer", "return=minimal");
                let answer = request.body(body).send().await.unwrap();
                assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    RECORDS as f64 / begun.elapsed().as_secs_f64()
}
