//! Retention by type with a real Supabase: payloads go once their lane has settled them, everybody is told, and outside
//! verifiers find the log as it was.

use std::process::Command;

use boboyka_sidecar::integration::Integration;
use boboyka_strand::retention::PayloadAges;
use boboyka_strand::{RecordType, Seq};
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::inside::{Inside, append, record, rows};
use crate::laptop::Laptop;
use crate::log_lives::{checked, fscked};
use crate::mirror::with_folder;
use crate::parity;

const HEALTH: RecordType = RecordType::AgentHealth;
/// As the records of `inside` come: one health snapshot in four, the first of them third.
const FIRST: Seq = 3;

fn ages() -> PayloadAges {
    let mut ages = PayloadAges::default();
    ages[HEALTH] = Some(0);
    ages
}

async fn fill(inside: &Inside, records: u64) {
    let noise = || -> String { (0..500).map(|_| fastrand::alphanumeric()).collect() };
    for first in (0..records).step_by(100) {
        let some = (first..first + 100).map(|n| record(n, &noise()));
        append(&inside.store, some.collect()).await;
    }
}

/// Waits until no segment has a health snapshot with its payload.
async fn goes(inside: &Inside) {
    let gone = || async {
        let first = inside.store.block(FIRST).unwrap().unwrap();
        first.is_gone()
            && !inside
                .store
                .strip(boboyka_store::Needed::Owed, ages())
                .await
                .unwrap()
    };
    wait_until(GUARD, gone, || {
        format!("{:?}", inside.store.view().retention)
    })
    .await;
}

/// The strand of a sidecar that let payloads go, Supabase having all of its rows; the hash of the first that is gone.
async fn strand(sidecar: &Sidecar, supabase: &Supabase) -> String {
    let inside = Inside::start(&sidecar.data_dir(), supabase, Integration::standalone()).await;
    inside.integration.send_modify(|it| {
        it.retention.payload_ages = ages();
        // What goes must be sealed first.
        it.retention.max_size_bytes = Some(4 << 20);
    });
    fill(&inside, 3_000).await;
    inside.drains().await;
    let before = inside.store.view();
    goes(&inside).await;
    let view = inside.store.view();
    assert!(view.retention.payloads_gone > 100, "{:?}", view.retention);
    assert_eq!(view.floor.head.seq, 0, "nothing is pruned whole");
    // A health snapshot is a row of its agent; the other tables have a row for each record.
    assert!(!rows(supabase, HEALTH).is_empty());
    let freed = || async { inside.store.view().retention.freed_bytes > 0 };
    wait_until(GUARD, freed, || {
        format!("{:?}", inside.store.view().retention)
    })
    .await;
    let after = inside.store.view().footprint.segment_bytes;
    assert!(after < before.footprint.segment_bytes + before.footprint.tail_bytes as u64);
    let hash = inside.store.block(FIRST).unwrap().unwrap().hash.to_string();
    inside.stop().await;
    hash
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_its_payload_answers_410_with_header_and_proof_and_everything_else_holds()
{
    let supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    assert!(sidecar.terminate());
    std::fs::remove_dir_all(sidecar.data_dir()).unwrap();
    let hash = strand(&sidecar, &supabase).await;
    // Nobody can say any more that it was there.
    let table = HEALTH.table().unwrap();
    supabase.sql(&format!("delete from {table} where seq = {FIRST}"));
    sidecar.restart().await;
    let vkey = sidecar.log_key().await;
    sidecar.log_covers("checkpoint", &vkey, 1).await;

    for name in [hash.clone(), FIRST.to_string()] {
        let path = format!("/v1/boboyka/records/{name}");
        let (status, body) = sidecar.try_get(&path).await;
        assert_eq!(
            (status, &body["code"]),
            (410, &json!("payload_gone")),
            "{body}"
        );
        let record = &body["record"];
        assert_eq!(
            (&record["record_hash"], &record["seq"]),
            (&json!(hash), &json!(FIRST))
        );
        assert!(record["data"].is_null(), "{body}");
        let proof = record["proof"].as_str().unwrap();
        assert!(proof.starts_with("c2sp.org/tlog-proof@v1"), "{proof}");
    }
    let proof = sidecar.get(&format!("/v1/boboyka/proof/{hash}")).await;
    assert!(
        proof
            .as_str()
            .unwrap()
            .starts_with("c2sp.org/tlog-proof@v1")
    );
    let (status, body) = sidecar
        .try_get(&format!("/v1/agents/agent_health/records/{hash}"))
        .await;
    assert_eq!(
        (status, &body["code"]),
        (410, &json!("payload_gone")),
        "{body}"
    );

    told_in_the_feed(&sidecar).await;
    nothing_is_missing_in_supabase(&sidecar).await;
    let head = sidecar.get("/v1/boboyka/status").await;
    let head = head["strand"]["head"]["seq"].as_u64().unwrap();
    sidecar.log_covers("checkpoint", &vkey, head).await;
    assert_eq!(checked(&sidecar.log_url(), &vkey, &[]), Ok(()));
    assert_eq!(fscked(&sidecar.log_url(), &vkey), Ok(()));

    let request = sidecar.request(reqwest::Method::GET, "/v1/boboyka/verify");
    let text = request.send().await.unwrap().text().await.unwrap();
    let verdict: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(verdict["ok"], true, "{verdict}");
    let gone = verdict["payloads_gone"].as_u64().unwrap();
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(status["retention"]["payloads_gone"], gone);
    assert!(sidecar.terminate());
    let offline = Command::new(boboyka_tests::sidecar::binary())
        .args(["verify", "--data-dir"])
        .arg(sidecar.data_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&offline.stdout).into_owned();
    let expected = format!("{gone} of them without their payload");
    assert!(
        offline.status.success() && said.contains(&expected),
        "{said}"
    );
}

/// Rows of records whose payload is gone are neither missing nor changed nor extra.
async fn nothing_is_missing_in_supabase(sidecar: &Sidecar) {
    for lane in ["agent_health", "audit_log"] {
        parity::drained(sidecar, lane).await;
        let checked = parity::checked(sidecar, lane).await;
        assert_eq!(parity::counts(&checked), [0; 4], "{checked}");
    }
}

/// Feed, history and state say of each what is gone, and leave nothing out.
async fn told_in_the_feed(sidecar: &Sidecar) {
    let gone = |events: &Value| {
        let events = events.as_array().unwrap().iter();
        let gone = events.filter(|event| event["payload_gone"] == true);
        gone.inspect(|event| assert!(event["data"].is_null(), "{event}"))
            .count()
    };
    let (mut seen, mut without, mut cursor) = (0, 0, String::new());
    loop {
        let path =
            format!("/v1/boboyka/events?limit=300&include=data&record_type=agent_health{cursor}");
        let page = sidecar.get(&path).await;
        (seen, without) = (
            seen + page["events"].as_array().unwrap().len(),
            without + gone(&page["events"]),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(status["event_counts"]["agent_health"], seen);
    assert_eq!(status["retention"]["payloads_gone"], without);
    let path = format!("/v1/boboyka/state/agent_health/a?as_of=seq:{FIRST}");
    let (code, body) = sidecar.try_get(&path).await;
    assert_eq!(
        (code, &body["record"]["seq"]),
        (410, &json!(FIRST)),
        "{body}"
    );
    let history = format!("/v1/boboyka/history/agent_health/a?as_of=seq:{FIRST}&include=data");
    let history = sidecar.get(&history).await;
    assert_eq!(gone(&history["versions"]), 1, "{history}");
    assert_eq!(history["missing"], json!([]));
}

#[tokio::test]
async fn a_file_says_how_long_payloads_are_kept_and_what_it_can_t_say_changes_nothing() {
    let laptop = Laptop::start(None).await;
    laptop.edit(
        "# edit this line\n",
        "\n  retention: {types: {agent_health: {maxAge: 168h}}}\n",
    );
    let week = json!({"agent_health": 168 * 3_600_000});
    let ages = |it: &Value| it["retention"]["payload_max_age_ms"].clone();
    laptop.shows(|it| ages(it) == week).await;
    for (from, to) in [("168h", "7d"), ("agent_health", "document")] {
        laptop.edit(from, to);
        let names = |it: &Value| {
            let error = it["integration"]["error"].as_str().unwrap_or_default();
            error.contains("spec.retention.types")
        };
        let status = laptop.shows(names).await;
        assert_eq!(ages(&status), week);
        laptop.edit(to, from);
        laptop
            .shows(|it| it["integration"]["error"].is_null())
            .await;
    }
}
