//! A sidecar that has nothing to do does nothing: in each state that it can rest in, it takes no CPU and
//! hardly wakes.

use std::fs;
use std::time::{Duration, Instant};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Rest, Sidecar, Supabase};
use reqwest::Method;
use serde_json::{Value, json};

use crate::laptop::Laptop;
use crate::mirror::{converges, health, lane, with_folder};

/// Ticks are for what happens on the way: looking at a folder, a probe; a loop that turns without waiting takes 400. A
/// folder is looked at once a second, and a lane in trouble probes now and then.
const REST: Rest = Rest {
    window: Duration::from_secs(4),
    ticks: 8,
    wakes: 60,
};

/// The same for a little more than a minute, in which everything is compared and counted once.
const COMPARING: Rest = Rest {
    window: Duration::from_secs(65),
    ticks: 60,
    wakes: 650,
};

/// Requests each minute: for each of the four tables a digest, one of what is beyond the head, and foreign rows.
const REQUESTS: u64 = 4 * 3;

/// A sidecar that is not at rest by then never is.
const REST_GUARD: Duration = Duration::from_mins(1);

async fn rests(sidecar: &mut Sidecar, state: &str) {
    let pid = sidecar.process().pid();
    let told = || format!("{state}\n{}", sidecar.log());
    REST.comes(pid, REST_GUARD, told).await;
}

async fn is(sidecar: &Sidecar, what: impl Fn(&Value) -> bool) {
    let there = || async { what(&lane(sidecar, "agent_health").await) };
    wait_until(GUARD, there, || sidecar.log()).await;
}

#[tokio::test]
async fn without_supabase_it_rests_fresh_and_with_records() {
    let mut sidecar = Sidecar::start().await;
    rests(&mut sidecar, "fresh").await;
    sidecar.ingest("agent_health", &health(0)).await;
    rests(&mut sidecar, "with a record").await;
}

#[tokio::test]
async fn with_a_file_that_it_obeys_it_rests() {
    let mut laptop = Laptop::start(None).await;
    rests(&mut laptop.sidecar, "a file").await;
    laptop.sidecar.ingest("agent_health", &health(0)).await;
    rests(&mut laptop.sidecar, "a file and a record").await;
}

#[tokio::test]
async fn with_a_key_that_it_asks_for_it_rests_also_while_a_stream_is_silent_and_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    fs::write(&key_file, "open-sesame").unwrap();
    let mut sidecar =
        Sidecar::start_with(&["--api-key-file", key_file.to_str().unwrap()], &[]).await;
    rests(&mut sidecar, "a key file").await;
    let mut streams = Vec::new();
    for path in ["/v1/boboyka/stream", "/v1/stream"] {
        let request = sidecar.request(Method::GET, path);
        let mut stream = request.bearer_auth("open-sesame").send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some());
        streams.push(stream);
    }
    rests(&mut sidecar, "silent streams").await;
    drop(streams);
    rests(&mut sidecar, "streams that were left").await;
}

#[tokio::test]
async fn when_sealing_fails_it_is_tried_again_after_a_pause() {
    let mut sidecar = Sidecar::start().await;
    // Nobody can make a file in what is no folder.
    let segments = sidecar.data_dir().join("segments");
    fs::remove_dir_all(&segments).unwrap();
    fs::write(&segments, "").unwrap();
    let line = |n| json!({"record_type": "agent_health", "data": health(n)});
    for first in [0, 9_000] {
        let lines = Value::from((first..first + 9_000).map(line).collect::<Vec<_>>());
        let (status, answer) = sidecar
            .post("/v1/boboyka/ingest/batch", &lines.to_string())
            .await;
        assert_eq!(status, 200, "{answer}");
    }
    let failed = |sidecar: &Sidecar| sidecar.log().matches("seal").count();
    wait_until(GUARD, || async { failed(&sidecar) > 0 }, || sidecar.log()).await;
    let before = failed(&sidecar);
    rests(&mut sidecar, "sealing fails").await;
    assert!(failed(&sidecar) <= before + 4, "{}", sidecar.log());
}

#[tokio::test]
async fn with_everything_mirrored_it_rests_also_after_a_restart_and_a_kill() {
    let supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    rests(&mut sidecar, "nothing ingested").await;
    sidecar.ingest("agent_health", &health(0)).await;
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
        .await;
    converges(&sidecar, &supabase, 1).await;
    rests(&mut sidecar, "all mirrored").await;
    sidecar.terminate();
    sidecar.restart().await;
    rests(&mut sidecar, "restarted").await;
    sidecar.kill_9();
    sidecar.restart().await;
    rests(&mut sidecar, "killed").await;
}

#[tokio::test]
async fn with_everything_mirrored_comparing_and_counting_cost_little_and_ask_supabase_seldom() {
    let supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    converges(&sidecar, &supabase, 1).await;
    // Answered when everything was compared and counted.
    let (status, answer) = sidecar.post("/v1/boboyka/mirror/check", "").await;
    assert_eq!((status, &answer["complete"]), (200, &json!(true)));
    let (begun, before) = (Instant::now(), supabase.requests());
    let pid = sidecar.process().pid();
    let told = || sidecar.log();
    COMPARING.comes(pid, 3 * REST_GUARD, told).await;
    let asked = || supabase.requests() - before;
    let (seen, minutes) = (asked(), begun.elapsed().as_secs() / 60);
    // The columns of each table are asked for again every five minutes.
    let most = REQUESTS * minutes + 4;
    assert!(seen <= most, "{seen} in {minutes} minutes");
    wait_until(GUARD, || async { asked() >= REQUESTS }, told).await;
}

#[tokio::test]
async fn with_a_lane_that_waits_it_rests() {
    let mut supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    converges(&sidecar, &supabase, 1).await;
    supabase
        .change_schema("alter table agent_health add constraint no check (false) not valid")
        .await;
    for n in 1..120 {
        sidecar.try_ingest("agent_health", &health(n)).await;
    }
    is(&sidecar, |lane| lane["state"] == "refused").await;
    rests(&mut sidecar, "refused").await;
    sidecar.kill_9();
    sidecar.restart().await;
    rests(&mut sidecar, "refused and restarted").await;
    supabase.write_folder("a-key-that-is-refused");
    is(&sidecar, |lane| lane["state"] == "auth_failed").await;
    rests(&mut sidecar, "auth failed").await;
    supabase.write_folder("");
    is(&sidecar, |lane| lane["state"] == "disabled").await;
    rests(&mut sidecar, "disabled").await;
    supabase.write_folder(&supabase.jwt_key());
    supabase.stop_postgres();
    is(&sidecar, |lane| lane["state"] == "open").await;
    rests(&mut sidecar, "supabase down").await;
    supabase.hold();
    rests(&mut sidecar, "supabase hanging").await;
}
