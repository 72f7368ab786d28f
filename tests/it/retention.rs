//! Retention on a real disk with a real Supabase: the disk reaches a plateau, nothing goes that Supabase
//! has not, and requests for pruned records say so.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use boboyka_crds::Phase;
use boboyka_sidecar::integration::{InForce, Integration};
use boboyka_store::{NewRecord, Options, Store};
use boboyka_strand::retention::Policy;
use boboyka_strand::{PerType, RecordType};
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::inside::{Inside, append, record, rows};

const MEBIBYTE: u64 = 1024 * 1024;

/// A record of about a kilobyte that does not compress.
fn noisy(n: u64) -> NewRecord {
    let noise: String = (0..1_000).map(|_| fastrand::alphanumeric()).collect();
    record(n, &noise)
}

fn of_size(bytes: u64) -> Policy {
    Policy {
        max_age_ms: None,
        max_size_bytes: Some(bytes),
    }
}

/// What a folder takes on the disk.
fn disk(folder: &Path) -> u64 {
    let output = Command::new("du").arg("-sB1").arg(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until Supabase has every record that the strand ever had, those of prunings too.
async fn has_every_record(inside: &Inside, supabase: &Supabase) {
    let there = || -> u64 {
        let rows = RecordType::MIRRORED.map(|lane| rows(supabase, lane).len() as u64);
        rows.iter().sum()
    };
    let whole = || async { there() == inside.store.view().head.seq };
    let told = || format!("{} of {:?}", there(), inside.store.view().head);
    wait_until(GUARD, whole, told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_rolling_size_the_disk_reaches_a_plateau_and_supabase_has_every_record() {
    let supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let inside = Inside::start(folder.path(), &supabase, Integration::standalone()).await;
    let max = 4 * MEBIBYTE;
    inside.retain(None, Some(max));
    let mut n = 0;
    let mut measured = Vec::new();
    // Ten times what may be kept.
    for _ in 0..10 {
        for _ in 0..40 {
            append(&inside.store, (n..n + 100).map(noisy).collect()).await;
            n += 100;
        }
        inside.drains().await;
        let within = || async {
            let footprint = inside.store.view().footprint;
            footprint.segment_bytes + footprint.tail_bytes as u64 <= max
        };
        let told = || {
            format!(
                "{:?} {:?}",
                inside.store.view().footprint,
                inside.store.view().retention
            )
        };
        wait_until(GUARD, within, told).await;
        measured.push(disk(folder.path()) / 1024);
    }
    let floor = inside.store.view().floor;
    assert!(floor.head.seq > n * 7 / 10, "{floor:?}");
    assert_eq!(floor.unmirrored, PerType::default());
    // The second half takes no more than the first had come to.
    let (first, second) = measured.split_at(5);
    let (early, late) = (first.iter().max().unwrap(), second.iter().max().unwrap());
    assert!(*late <= early + early / 4, "{measured:?}");
    has_every_record(&inside, &supabase).await;
    assert!(inside.store.view().head.seq > n, "prunings are recorded");
    let verdict = inside.store.verify(|_| std::ops::ControlFlow::Continue(()));
    assert!(
        verdict.ok && verdict.floor.seq >= floor.head.seq,
        "{verdict:?}"
    );
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_supabase_is_down_nothing_it_lacks_is_pruned_and_afterwards_it_is() {
    let mut supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let inside = Inside::start(folder.path(), &supabase, Integration::standalone()).await;
    inside.retain(None, Some(MEBIBYTE));
    append(&inside.store, (0..400).map(noisy).collect()).await;
    inside.drains().await;
    supabase.stop_postgres();
    let settled = inside.store.view().head.seq;
    for first in (400..4_000).step_by(100) {
        append(&inside.store, (first..first + 100).map(noisy).collect()).await;
    }
    let blocked = || async { inside.store.view().retention.blocked_by.is_some() };
    wait_until(GUARD, blocked, || "no blocker is shown".to_owned()).await;
    // Two more looks, so that everything that could go had its chance.
    for _ in 0..2 {
        inside.store.prune(of_size(MEBIBYTE), true).await.unwrap();
    }
    let floor = inside.store.view().floor;
    assert!(
        floor.head.seq <= settled && floor.unmirrored == PerType::default(),
        "{floor:?}"
    );
    let told = inside
        .store
        .view()
        .retention
        .blocked_by
        .unwrap()
        .to_string();
    assert!(told.contains("has not mirrored it yet"), "{told}");
    for seq in floor.head.seq + 1..=4_000 {
        assert!(inside.store.block(seq).unwrap().is_some());
    }
    supabase.start_postgres();
    let goes = || async { inside.store.view().floor.head.seq > 2_000 };
    let told = || {
        format!(
            "{:?} {:?}",
            inside.mirror.lanes(&inside.store.view()),
            inside.store.view().retention
        )
    };
    wait_until(GUARD, goes, told).await;
    inside.drains().await;
    assert_eq!(inside.store.view().floor.unmirrored, PerType::default());
    has_every_record(&inside, &supabase).await;
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutover_prunes_by_age_and_a_return_goes_on_from_the_floor() {
    let supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let inside = Inside::start(folder.path(), &supabase, Integration::standalone()).await;
    append(&inside.store, (0..200).map(noisy).collect()).await;
    inside.drains().await;
    inside.enter(Phase::MigrateInternals, 1).await;
    append(&inside.store, (200..400).map(noisy).collect()).await;
    inside.enter(Phase::CutOver, 2).await;
    let begun = Instant::now();
    append(&inside.store, (400..600).map(noisy).collect()).await;
    let newest_gone = inside.store.view().head.seq;
    inside.retain(Some(Duration::from_secs(8)), None);
    let goes = || async { inside.store.view().floor.head.seq >= newest_gone };
    wait_until(GUARD, goes, || {
        format!("{:?}", inside.store.view().footprint)
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_secs(8), "too early");
    inside.retain(None, None);
    append(&inside.store, (600..700).map(noisy).collect()).await;
    inside.enter(Phase::DualWrite, 3).await;
    inside.drains().await;
    let floor = inside.store.view().floor;
    let lost: u64 = floor.unmirrored.values().sum();
    assert_eq!(lost, floor.head.seq - 200, "{floor:?}");
    for record_type in RecordType::MIRRORED {
        let (there, here) = (
            rows(&supabase, record_type),
            inside.hashes(record_type, inside.store.view().head.seq),
        );
        // The two hundred from before the change, and all from the floor on.
        assert!(here.is_subset(&there), "{record_type}");
        assert_eq!(there.len(), here.len() + 50, "{record_type}");
    }
    inside.stop().await;
}

/// A strand that was pruned, for a sidecar of its own.
async fn pruned_strand(folder: &Path) -> (Vec<String>, u64) {
    let store = Store::open(Options {
        seal_blocks: 300,
        ..Options::new(folder)
    })
    .unwrap();
    let mut hashes = Vec::new();
    for first in (0..1_000).step_by(100) {
        let appended = append(
            &store,
            (first..first + 100).map(|n| record(n, "")).collect(),
        )
        .await;
        hashes.extend(appended.iter().map(|one| one.hash.to_string()));
    }
    let sealed = || async { store.view().footprint.tail_blocks < 300 };
    wait_until(GUARD, sealed, || format!("{:?}", store.view().footprint)).await;
    let policy = of_size(store.view().footprint.segment_bytes * 2 / 3);
    store.prune(policy, false).await.unwrap();
    let floor = store.view().floor.head.seq;
    tokio::task::spawn_blocking(move || store.close())
        .await
        .unwrap();
    (hashes, floor)
}

/// Walks the whole feed; how many events there are.
async fn walk(sidecar: &Sidecar) -> u64 {
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page = sidecar
            .get(&format!("/v1/boboyka/events?limit=300{cursor}"))
            .await;
        seen += page["events"].as_array().unwrap().len() as u64;
        let Some(next) = page["next_cursor"].as_str() else {
            return seen;
        };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_pruned_record_is_told_410_and_the_rest_is_served_and_holds() {
    let mut sidecar = Sidecar::start().await;
    assert!(sidecar.terminate());
    std::fs::remove_dir_all(sidecar.data_dir()).unwrap();
    let (hashes, floor) = pruned_strand(&sidecar.data_dir()).await;
    assert!(floor >= 300, "{floor}");
    sidecar.restart().await;
    let place = usize::try_from(floor).unwrap();
    for hash in [&hashes[0], &hashes[place - 1]] {
        let (status, body) = sidecar
            .try_get(&format!("/v1/boboyka/records/{hash}"))
            .await;
        assert_eq!((status, &body["code"]), (410, &json!("pruned")), "{body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(&format!("after seq {floor}")), "{message}");
    }
    let record = sidecar
        .get(&format!("/v1/boboyka/records/{}", hashes[place]))
        .await;
    assert_eq!(record["prev_hash"], hashes[place - 1]);
    let unknown = "ab".repeat(32);
    let (status, body) = sidecar
        .try_get(&format!("/v1/boboyka/records/{unknown}"))
        .await;
    assert_eq!(status, 404);
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains(&format!("after seq {floor}")),
        "{body}"
    );

    let status = sidecar.get("/v1/boboyka/status").await;
    // With the record of the pruning.
    let all = 1_001;
    assert_eq!(status["total_events"], all);
    assert_eq!(
        (
            &status["strand"]["floor"]["seq"],
            &status["strand"]["floor"]["hash"]
        ),
        (&json!(floor), &json!(hashes[place - 1]))
    );
    assert_eq!(status["retention"]["pruned_seq"], floor);
    assert_eq!(walk(&sidecar).await, all - floor);
    let request = sidecar.request(reqwest::Method::GET, "/v1/boboyka/verify");
    let text = request.send().await.unwrap().text().await.unwrap();
    let verdict: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&verdict["ok"], &verdict["verified"]),
        (&json!(true), &json!(all - floor))
    );
    assert_eq!(verdict["floor"]["seq"], floor);
    assert!(sidecar.terminate());
    let offline = Command::new(boboyka_tests::sidecar::binary())
        .args(["verify", "--data-dir"])
        .arg(sidecar.data_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&offline.stdout).into_owned();
    assert!(
        offline.status.success() && said.starts_with("ok: "),
        "{said}"
    );
}

#[tokio::test]
async fn an_integration_without_supabase_waits_for_nobody() {
    let supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let alone = Integration {
        has_supabase: false,
        in_force: Some(InForce {
            phase: Phase::DualWrite,
            generation: 1,
        }),
        ..Integration::unknown()
    };
    supabase.rotate_secret_key("another");
    let inside = Inside::start(folder.path(), &supabase, alone).await;
    inside.retain(None, Some(MEBIBYTE));
    for first in (0..3_000).step_by(100) {
        append(&inside.store, (first..first + 100).map(noisy).collect()).await;
    }
    let goes = || async { inside.store.view().floor.head.seq > 1_000 };
    let told = || format!("{:?}", inside.store.view().retention);
    wait_until(GUARD, goes, told).await;
    inside.stop().await;
}
