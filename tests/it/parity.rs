//! The tables against the strand, on a real Postgres and PostgREST: what differs is found, named by its kind
//! and its place, and mended where that can be; what can't be compared is unknown and never equal.

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::laptop::Laptop;
use crate::mirror::{health, lane, with_folder};

/// What the functions of `schema.sql` are called; without them, rows are read.
pub(crate) const NO_FUNCTIONS: &str = "drop function boboyka_columns(text)";

fn event(n: usize) -> Value {
    json!({"agent_id": "a", "event": format!("event {n}"), "metadata": {"n": n, "deep": {"b": [1.50, "é\"\n"], "aa": null}}})
}

pub(crate) async fn ingest_many(sidecar: &Sidecar, kind: &str, data: impl Iterator<Item = Value>) {
    let lines: Vec<Value> = data
        .map(|data| json!({"record_type": kind, "data": data}))
        .collect();
    let (status, answer) = sidecar
        .post("/v1/boboyka/ingest/batch", &Value::from(lines).to_string())
        .await;
    assert_eq!(status, 200, "{answer}");
}

pub(crate) async fn drained(sidecar: &Sidecar, name: &str) {
    let done = || async { lane(sidecar, name).await["backlog"] == 0 };
    wait_until(GUARD, done, || sidecar.log()).await;
}

/// Has everything compared now; the lane after that.
pub(crate) async fn checked(sidecar: &Sidecar, name: &str) -> Value {
    let path = format!("/v1/boboyka/mirror/check?lane={name}");
    let (status, answer) = sidecar.post(&path, "").await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer.to_string()).unwrap();
    assert_eq!(answer["complete"], true, "{answer}");
    answer["lanes"][0].clone()
}

async fn repaired(sidecar: &Sidecar, name: &str) -> Value {
    let path = format!("/v1/boboyka/mirror/repair?lane={name}");
    let (status, answer) = sidecar.post(&path, "").await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer.to_string()).unwrap()
}

/// The counts of a lane of which parity is known: missing, changed, extra, doubled.
pub(crate) fn counts(lane: &Value) -> [u64; 4] {
    assert_eq!(lane["parity_unknown"], Value::Null, "{lane}");
    ["missing", "changed", "extra", "doubled"].map(|kind| lane["parity"][kind].as_u64().unwrap())
}

fn differences(lane: &Value) -> Vec<(u64, String)> {
    let all = lane["parity"]["differences"].as_array().unwrap().iter();
    all.map(|it| {
        (
            it["seq"].as_u64().unwrap(),
            it["kind"].as_str().unwrap().to_owned(),
        )
    })
    .collect()
}

async fn with_events(supabase: &Supabase, count: usize) -> Sidecar {
    let sidecar = with_folder(supabase).await;
    ingest_many(&sidecar, "audit_log", (1..=count).map(event)).await;
    drained(&sidecar, "audit_log").await;
    sidecar
}

/// What happens to rows, and how it is told: by their places, with the functions and without them.
async fn each_difference_is_told(supabase: &Supabase) {
    let sidecar = with_events(supabase, 700).await;
    let lane = checked(&sidecar, "audit_log").await;
    assert_eq!(counts(&lane), [0; 4], "{lane}");
    assert_eq!(lane["parity"]["up_to"], 700);
    assert_eq!(lane["parity"]["unchecked_columns"], json!([]));
    supabase.sql("drop index agent_audit_log_record_hash_key");
    supabase.sql("delete from agent_audit_log where seq = 7");
    supabase.sql("update agent_audit_log set event = 'event 8O' where seq = 80");
    supabase.sql(
        "update agent_audit_log set metadata = jsonb_set(metadata, '{n}', '301') where seq = 300",
    );
    supabase.sql("update agent_audit_log set actor = 'somebody' where seq = 301");
    supabase.sql(
        "insert into agent_audit_log (agent_id, event, metadata, payload, record_hash, strand, seq, ingested_at_ms) \
         select agent_id, event, metadata, payload, record_hash, strand, seq, ingested_at_ms from agent_audit_log where seq = 600",
    );
    supabase.sql(
        "insert into agent_audit_log (agent_id, event, payload, record_hash, strand, seq, ingested_at_ms) \
         select agent_id, event, payload, 'forged', strand, 5000, ingested_at_ms from agent_audit_log where seq = 1",
    );
    let lane = checked(&sidecar, "audit_log").await;
    assert_eq!(counts(&lane), [1, 3, 1, 1], "{lane}");
    let told = differences(&lane);
    let told: Vec<(u64, &str)> = told.iter().map(|(seq, kind)| (*seq, &**kind)).collect();
    let expected = [
        (7, "missing"),
        (80, "changed"),
        (300, "changed"),
        (301, "changed"),
        (600, "doubled"),
        (5000, "extra"),
    ];
    assert_eq!(told, expected);
    assert!(
        sidecar.log().contains("differs from the strand"),
        "{}",
        sidecar.log()
    );
    let shown = sidecar.get("/v1/boboyka/mirror").await.to_string();
    assert!(
        !shown.contains("somebody") && !shown.contains("8O"),
        "{shown}"
    );
    let report = repaired(&sidecar, "audit_log").await;
    assert_eq!(
        (&report["found"], &report["sent"]),
        (&json!(6), &json!(1)),
        "{report}"
    );
    assert_eq!(report["beyond_repair"], 5, "{report}");
    assert_eq!(counts(&report["lanes"][0]), [0, 3, 1, 1], "{report}");
    assert_eq!(
        supabase.sql("select count(*) from agent_audit_log where seq = 7"),
        "1"
    );
}

#[tokio::test]
async fn a_deleted_changed_doubled_or_foreign_row_is_told_by_its_place_and_the_missing_one_is_mended()
 {
    let supabase = Supabase::start().await;
    each_difference_is_told(&supabase).await;
}

#[tokio::test]
async fn without_the_functions_rows_are_read_and_the_same_is_told() {
    let supabase = Supabase::start().await;
    supabase.change_schema(NO_FUNCTIONS).await;
    each_difference_is_told(&supabase).await;
}

#[tokio::test]
async fn in_a_table_of_states_the_newest_record_of_each_key_counts_and_what_differs_is_mended() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema(
            "alter table project_builds add constraint one unique (build_id); \
             select boboyka_guard('project_builds'); grant update on project_builds to service_role",
        )
        .await;
    let sidecar = with_folder(&supabase).await;
    let build = |n: usize| {
        let status = ["queued", "running", "succeeded"][n % 3];
        let mut data =
            json!({"project_id": "p", "build_id": format!("b{}", n % 100), "status": status});
        if n < 100 {
            data["agent_id"] = json!("first");
        }
        data
    };
    ingest_many(&sidecar, "project_build", (0..400).map(build)).await;
    drained(&sidecar, "project_build").await;
    let lane = checked(&sidecar, "project_build").await;
    assert_eq!(
        (counts(&lane), &lane["mode"]),
        ([0; 4], &json!("latest")),
        "{lane}"
    );
    supabase.sql("delete from project_builds where build_id = 'b5'");
    supabase.sql("update project_builds set status = 'failed' where build_id = 'b6'");
    supabase.sql(
        "insert into project_builds (build_id, payload, record_hash, strand, seq, ingested_at_ms) \
        select 'forged', '{}', 'forged', strand, 17, 1 from project_builds limit 1",
    );
    let lane = checked(&sidecar, "project_build").await;
    assert_eq!(counts(&lane), [1, 1, 1, 0], "{lane}");
    let told = differences(&lane);
    let expected = [(17, "extra"), (306, "missing"), (307, "changed")];
    let told: Vec<(u64, &str)> = told.iter().map(|(seq, kind)| (*seq, &**kind)).collect();
    assert_eq!(told, expected);
    let report = repaired(&sidecar, "project_build").await;
    assert_eq!(
        (&report["sent"], &report["beyond_repair"]),
        (&json!(2), &json!(1)),
        "{report}"
    );
    assert_eq!(counts(&report["lanes"][0]), [0, 0, 1, 0], "{report}");
    let row = "select status, agent_id, seq from project_builds where build_id in ('b5', 'b6') order by seq";
    assert_eq!(supabase.sql(row), "succeeded|first|306\nqueued|first|307");
}

#[tokio::test]
async fn what_is_not_known_is_told_with_its_reason_and_never_as_equal() {
    let mut supabase = Supabase::start().await;
    let sidecar = Sidecar::start().await;
    let without = lane(&sidecar, "audit_log").await;
    assert_eq!(without["parity"], Value::Null);
    let reason = without["parity_unknown"].as_str().unwrap();
    assert!(
        ["not compared yet", "supabase is not configured"].contains(&reason),
        "{reason}"
    );
    drop(sidecar);
    let sidecar = with_events(&supabase, 5).await;
    assert_eq!(counts(&checked(&sidecar, "audit_log").await), [0; 4]);
    supabase.stop_postgres();
    let down = checked(&sidecar, "audit_log").await;
    assert_eq!(down["parity"], Value::Null, "{down}");
    let reason = down["parity_unknown"].as_str().unwrap();
    assert!(reason.contains("supabase"), "{reason}");
    supabase.start_postgres();
    assert_eq!(
        counts(&checked(&sidecar, "audit_log").await),
        [0; 4],
        "{}",
        sidecar.log()
    );
    supabase
        .change_schema("alter table agent_audit_log drop column seq")
        .await;
    let lacking = checked(&sidecar, "audit_log").await;
    let reason = lacking["parity_unknown"].as_str().unwrap();
    assert!(
        reason.contains("agent_audit_log has no column seq"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_table_that_takes_the_place_of_another_is_compared_anew_also_after_an_outage() {
    let mut supabase = Supabase::start().await;
    supabase
        .change_schema(
            "create table audit_two (like agent_audit_log including all); \
             grant select, insert on audit_two to service_role",
        )
        .await;
    let laptop = Laptop::start(Some(&supabase)).await;
    let sidecar = &laptop.sidecar;
    // More than one comparison takes.
    for part in 0..3 {
        let events = (1..=2000).map(|n| event(2000 * part + n));
        ingest_many(sidecar, "audit_log", events).await;
    }
    drained(sidecar, "audit_log").await;
    assert_eq!(counts(&checked(sidecar, "audit_log").await), [0; 4]);
    supabase.stop_postgres();
    let down = checked(sidecar, "audit_log").await;
    assert_eq!(down["parity"], Value::Null, "{down}");
    laptop.edit(
        "{ackTimeout: 500ms}",
        "{ackTimeout: 500ms, tables: {audit_log: {table: audit_two}}}",
    );
    supabase.start_postgres();
    let known = || async {
        let lane = lane(sidecar, "audit_log").await;
        lane["table"] == "audit_two" && !lane["parity"].is_null()
    };
    wait_until(GUARD, known, || laptop.told()).await;
    let other = lane(sidecar, "audit_log").await;
    assert_eq!(counts(&other)[0], other["mirrored"], "{other}");
}

#[tokio::test]
async fn more_rows_than_can_be_held_make_parity_unknown_until_they_are_deleted() {
    let supabase = Supabase::start().await;
    let sidecar = with_events(&supabase, 5).await;
    assert_eq!(counts(&checked(&sidecar, "audit_log").await), [0; 4]);
    supabase.sql(
        "insert into agent_audit_log (agent_id, event, payload, record_hash, strand, seq, ingested_at_ms) \
         select agent_id, event, payload, 'copy ' || n, strand, 1000 + n, 1 \
         from agent_audit_log, generate_series(1, 25000) n where seq = 1",
    );
    let copied = checked(&sidecar, "audit_log").await;
    let reason = copied["parity_unknown"].as_str().unwrap();
    assert!(reason.contains("more than 20000 rows"), "{reason}");
    supabase.sql("delete from agent_audit_log where seq > 1000");
    assert_eq!(counts(&checked(&sidecar, "audit_log").await), [0; 4]);
}

#[tokio::test]
async fn what_the_lane_has_not_sent_is_not_missing_and_a_dead_letter_is_none_either() {
    let mut supabase = Supabase::start().await;
    let sidecar = with_events(&supabase, 10).await;
    supabase
        .change_schema("alter table agent_audit_log add constraint no check (event <> 'refused')")
        .await;
    sidecar
        .ingest("audit_log", &json!({"agent_id": "a", "event": "refused"}))
        .await;
    let dead = || async { lane(&sidecar, "audit_log").await["dead_lettered"] == 1 };
    wait_until(GUARD, dead, || sidecar.log()).await;
    assert_eq!(counts(&checked(&sidecar, "audit_log").await), [0; 4]);
    // The lane waits for a table that is locked; reads pass.
    let lock = "begin; lock table agent_audit_log in share mode; select pg_sleep(600)";
    let lock = supabase.sql_behind(lock);
    let locked =
        || async { supabase.sql("select count(*) from pg_locks where mode = 'ShareLock'") != "0" };
    wait_until(GUARD, locked, || lock.log()).await;
    for n in 20..25 {
        sidecar.try_ingest("audit_log", &event(n)).await;
    }
    let waiting = lane(&sidecar, "audit_log").await;
    assert_eq!(waiting["backlog"], 5, "{waiting}");
    let lane_now = checked(&sidecar, "audit_log").await;
    assert_eq!(counts(&lane_now), [0; 4], "{lane_now}");
    assert!(
        lane_now["parity"]["up_to"].as_u64().unwrap() <= 11,
        "{lane_now}"
    );
    supabase.end_behind(&lock);
    drained(&sidecar, "audit_log").await;
    let lane_now = checked(&sidecar, "audit_log").await;
    assert_eq!(
        (counts(&lane_now), &lane_now["parity"]["up_to"]),
        ([0; 4], &json!(16))
    );
    supabase.stop_postgres();
}

#[tokio::test]
async fn it_is_found_without_being_asked_and_again_after_a_kill_while_records_come() {
    let supabase = Supabase::start().await;
    let mut sidecar = with_events(&supabase, 50).await;
    let equal = || async { lane(&sidecar, "audit_log").await["parity"]["up_to"] == 50 };
    wait_until(GUARD, equal, || sidecar.log()).await;
    sidecar.kill_9();
    supabase.sql("delete from agent_audit_log where seq in (3, 4)");
    sidecar.restart().await;
    for n in 0..20 {
        sidecar.ingest("agent_health", &health(n)).await;
        sidecar.ingest("audit_log", &event(100)).await;
    }
    let told = || async { lane(&sidecar, "audit_log").await["parity"]["missing"] == 2 };
    wait_until(GUARD, told, || sidecar.log()).await;
    let health_lane = || async { lane(&sidecar, "agent_health").await["parity"]["missing"] == 0 };
    wait_until(GUARD, health_lane, || sidecar.log()).await;
    assert_eq!(repaired(&sidecar, "audit_log").await["sent"], 2);
    assert_eq!(counts(&checked(&sidecar, "audit_log").await), [0; 4]);
}
