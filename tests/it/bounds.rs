//! What one caller, a closed pipe or a deleted folder can't do to a sidecar.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use boboyka_tests::Sidecar;
use boboyka_tests::process::{GUARD, wait_until};
use serde_json::{Value, json};

/// Records of a megabyte each.
const LARGE: usize = 64;
/// What a page holds at most, as documented.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;
/// Of what a page holds, what one reader may take of the memory: records, their JSON, what is decoded on the way.
const COPIES_MAX: u64 = 8;

/// A field of `/proc/PID/status`, in bytes.
fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Every record of the feed, by following the cursor: seqs, in order.
async fn walk(sidecar: &Sidecar, include: &str) -> Vec<u64> {
    let (mut seqs, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/boboyka/events?limit=1000{include}{cursor}");
        let page = sidecar.get(&path).await;
        assert_eq!(page["missing"], json!([]), "{path}");
        let events = page["events"].as_array().unwrap();
        seqs.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seqs,
        }
    }
}

#[tokio::test]
async fn pages_of_large_records_end_early_and_keep_the_memory_small() {
    let mut sidecar = Sidecar::start().await;
    for _ in 0..LARGE / 8 {
        let noise = || std::iter::repeat_with(fastrand::alphanumeric).take(1_000_000);
        let records = (0..8).map(|_| {
            let data = json!({"agent_id": "a", "event": "e", "x": noise().collect::<String>()});
            json!({"record_type": "audit_log", "data": data})
        });
        let body = records.collect::<Value>().to_string();
        let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let pid = sidecar.process().pid();
    let expected: Vec<u64> = (1..=LARGE as u64).rev().collect();
    for include in ["", "&include=data"] {
        // Makes the peak what is resident now.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let before = memory(pid, "VmHWM:");
        let walks = tokio::join!(
            walk(&sidecar, include),
            walk(&sidecar, include),
            walk(&sidecar, include)
        );
        for seqs in [walks.0, walks.1, walks.2] {
            assert_eq!(seqs, expected, "{include}");
        }
        let grown = memory(pid, "VmHWM:") - before;
        assert!(
            grown < 3 * COPIES_MAX * PAGE_BYTES,
            "{include}: the sidecar grew by {grown} bytes"
        );
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_does_not_end_the_process() {
    // The reader takes the first byte of the log and goes away.
    let script = r#"exec "$@" 2> >(exec head -c 1 >/dev/null)"#;
    let supabase = [
        ("BOBOYKA_SUPABASE_URL", "http://127.0.0.1:9"),
        ("BOBOYKA_SUPABASE_KEY", "key"),
    ];
    let mut sidecar = Sidecar::start_wrapped(&["bash", "-c", script, "bash"], &[], &supabase).await;
    // A failing lane warns.
    let failing = AtomicU32::new(0);
    let warned = || async {
        sidecar
            .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
            .await;
        failing.fetch_add(1, Ordering::Relaxed);
        let status = sidecar.get("/v1/boboyka/mirror").await;
        let lanes = status["lanes"].as_array().unwrap();
        lanes.iter().any(|lane| lane["state"] == "open")
    };
    wait_until(GUARD, warned, || "no lane gave up".to_owned()).await;
    let head = sidecar.get("/v1/boboyka/status").await["strand"]["head"]["seq"].clone();
    assert_eq!(head, failing.into_inner());
    assert!(sidecar.terminate());
}

#[tokio::test]
async fn a_log_that_is_open_and_never_read_keeps_nobody_waiting() {
    // The sidecar inherits the reading end of its own log, and reads nothing.
    let script =
        r#"log=$(mktemp -u) && mkfifo "$log" && exec 3<>"$log" 2>"$log" && rm "$log" && exec "$@""#;
    let noisy = [("RUST_LOG", "debug")];
    let mut sidecar = Sidecar::start_wrapped(&["bash", "-c", script, "bash"], &[], &noisy).await;
    let api = sidecar.url("").replace("http://", "");
    let none_dropped = "\nboboyka_log_dropped_lines_total 0\n";
    let taken = AtomicU32::new(0);
    let dropped = || async {
        // Each of them is a line.
        for _ in 0..100 {
            let mut caller = std::net::TcpStream::connect(&api).unwrap();
            caller.write_all(b"GET").unwrap();
        }
        sidecar
            .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
            .await;
        taken.fetch_add(1, Ordering::Relaxed);
        !sidecar.metrics().await.contains(none_dropped)
    };
    wait_until(GUARD, dropped, || "no line was dropped".to_owned()).await;
    let head = sidecar.get("/v1/boboyka/status").await["strand"]["head"]["seq"].clone();
    assert_eq!(head, taken.into_inner());
    assert!(sidecar.terminate());
}

#[tokio::test]
async fn a_data_folder_that_is_deleted_or_replaced_ends_the_process_with_an_error() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 2] = [
        ("was deleted", |folder| {
            std::fs::remove_dir_all(folder).unwrap();
        }),
        ("was replaced", |folder| {
            std::fs::rename(folder, folder.with_extension("away")).unwrap();
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("LOCK"), "1").unwrap();
        }),
    ];
    for (said, harm) in harms {
        let mut sidecar = Sidecar::start().await;
        sidecar
            .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
            .await;
        harm(&sidecar.data_dir());
        assert!(!sidecar.process().wait(GUARD), "{}", sidecar.log());
        let log = sidecar.log();
        assert!(log.contains(said), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}
