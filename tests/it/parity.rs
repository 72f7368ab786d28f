//! The tables against the strand, on a real Postgres and PostgREST: what differs is found, named by its kind
//! and its place, and mended where that can be; what can't be compared is unknown and never equal.

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::{health, lane, with_folder};

/// What the functions of `schema.sql` are called; without them, rows are read.
const NO_FUNCTIONS: &str = "drop function boboyka_columns(text)";

fn event(n: usize) -> Value {
    json!({"agent_id": "a", "event": format!("event {n}"), "metadata": {"n": n, "deep": {"b": [1.50, "é\"\n"], "aa": null}}})
}

async fn ingest_many(sidecar: &Sidecar, kind: &str, data: impl Iterator<Item = Value>) {
    let lines: Vec<Value> = data
        .map(|data| json!({"record_type": kind, "data": data}))
        .collect();
    let (status, answer) = sidecar
        .post("/v1/boboyka/ingest/batch", &Value::from(lines).to_string())
        .await;
    assert_eq!(status, 200, "{answer}");
}

async fn drained(sidecar: &Sidecar, name: &str) {
    let done = || async { lane(sidecar, name).await["backlog"] == 0 };
    wait_until(GUARD, done, || sidecar.log()).await;
}

/// Has everything compared now; the lane after that.
async fn checked(sidecar: &Sidecar, name: &str) -> Value {
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
fn counts(lane: &Value) -> [u64; 4] {
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
    lock.signal("KILL");
    supabase.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()");
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

/// The foreign rows by table, counted now: rows, and the newest keys.
async fn foreign(sidecar: &Sidecar) -> Vec<(String, u64, Vec<String>)> {
    let (status, answer) = sidecar.post("/v1/boboyka/mirror/check", "").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["foreign_writes_unknown"], Value::Null, "{answer}");
    let tables = answer["foreign_writes"]["tables"]
        .as_array()
        .unwrap()
        .iter();
    tables
        .map(|table| {
            let sample = table["sample"].as_array().unwrap().iter();
            (
                table["table"].as_str().unwrap().to_owned(),
                table["rows"].as_u64().unwrap(),
                sample.map(|key| key.as_str().unwrap().to_owned()).collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn rows_that_somebody_writes_after_the_mirror_began_are_counted_with_their_keys_and_older_ones_are_not()
 {
    let supabase = Supabase::start().await;
    supabase
        .change_schema(
            "alter table project_builds alter column payload drop not null, alter column record_hash drop not null, \
             alter column strand drop not null, alter column seq drop not null, alter column ingested_at_ms drop not null",
        )
        .await;
    supabase.sql("insert into project_builds (build_id, status) select 'old' || n, 'secret' from generate_series(1, 50) n");
    let mut sidecar = with_folder(&supabase).await;
    let build =
        |n: u64| json!({"project_id": "p", "build_id": format!("b{n}"), "status": "queued"});
    ingest_many(&sidecar, "project_build", (0..20).map(build)).await;
    drained(&sidecar, "project_build").await;
    assert_eq!(foreign(&sidecar).await, []);
    supabase.sql("vacuum (freeze) project_builds");
    supabase.sql("insert into project_builds (build_id, status) values ('new', 'secret')");
    supabase.sql("update project_builds set status = 'other' where build_id = 'old7'");
    let told = foreign(&sidecar).await;
    let (table, rows, sample) = &told[0];
    assert_eq!(
        (told.len(), table.as_str(), *rows),
        (1, "project_builds", 2),
        "{told:?}"
    );
    // The identity column is the primary key; the update came last.
    assert_eq!(sample, &["id=7", "id=71"]);
    let mirror = sidecar.get("/v1/boboyka/mirror").await;
    let shown = &mirror["foreign_writes"];
    let (since, newest) = (&shown["since_ms"], &shown["tables"][0]["newest_at_ms"]);
    assert!(
        since.as_u64().unwrap() <= newest.as_u64().unwrap(),
        "{shown}"
    );
    assert!(
        newest.as_u64() <= shown["checked_at_ms"].as_u64(),
        "{shown}"
    );
    assert!(!mirror.to_string().contains("secret") && !sidecar.log().contains("secret"));
    // The same after a restart, and another strand's rows are none of this integration's.
    sidecar.terminate();
    sidecar.restart().await;
    drained(&sidecar, "project_build").await;
    let again = || async { foreign_is_known(&sidecar).await };
    wait_until(GUARD, again, || sidecar.log()).await;
    assert_eq!(foreign(&sidecar).await, told);
    let again = sidecar.get("/v1/boboyka/mirror").await;
    assert_eq!(
        &again["foreign_writes"]["tables"], &shown["tables"],
        "the newest stays as old as it is"
    );
    let other = with_folder(&supabase).await;
    other.ingest("agent_health", &health(1)).await;
    drained(&other, "agent_health").await;
    let told = foreign(&sidecar).await;
    let health = told.iter().find(|(table, ..)| table == "agent_health");
    assert_eq!(health.unwrap().1, 1, "{told:?}");
}

async fn foreign_is_known(sidecar: &Sidecar) -> bool {
    !sidecar.get("/v1/boboyka/mirror").await["foreign_writes"].is_null()
}

#[tokio::test]
async fn foreign_rows_that_cannot_be_counted_are_unknown_and_not_none() {
    let mut supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    let known = || async { foreign_is_known(&sidecar).await };
    wait_until(GUARD, known, || sidecar.log()).await;
    supabase
        .change_schema("drop function boboyka_foreign_rows")
        .await;
    let unknown = |answer: &Value| {
        assert_eq!(answer["foreign_writes"], Value::Null, "{answer}");
        answer["foreign_writes_unknown"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (_, answer) = sidecar.post("/v1/boboyka/mirror/check", "").await;
    let reason = unknown(&answer);
    assert!(
        reason.contains("boboyka_foreign_rows: run schema.sql"),
        "{reason}"
    );
    supabase.stop_postgres();
    let (_, answer) = sidecar.post("/v1/boboyka/mirror/check", "").await;
    let reason = unknown(&answer);
    assert!(reason.contains("supabase"), "{reason}");
}

/// Values that a database and a program may write differently.
fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "é",
        "e\u{301}",
        "\u{1}\u{8}\u{c}\u{1f}\u{7f}",
        "\"\\/\n\r\t",
        "\u{10ffff}",
        "{\"a\": 1}",
        "null",
        "1e5",
        "-",
    ];
    let numbers = [
        "0",
        "-0.0",
        "1.0",
        "1.50",
        "0.1",
        "1e21",
        "1e-7",
        "1e300",
        "5e-324",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789.123456789",
        "2e23",
        "1.7976931348623157e308",
        "0.30000000000000004",
    ];
    let numbers = numbers.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend(numbers);
    values.extend([
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!([[], {}, [null]]),
        json!({"b": 1, "aa": 2, "a": {"z": [1.5, "x"], "é": 0, "zz": "\u{2}"}, "": ""}),
    ]);
    values
}

#[tokio::test]
async fn whatever_values_records_have_a_table_that_nobody_touched_is_equal() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema(
            "create type mood as enum ('healthy', 'degraded', 'unhealthy', 'offline'); \
             alter table agent_health alter column status type mood using status::mood, alter column memory_mb type real, \
             add column ident uuid, add column exact numeric, add column small smallint, add column flag boolean, \
             add column old json, add column any_text text, add column at timestamptz, add column rest text default 'unset'",
        )
        .await;
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables.yaml");
    let columns = "ident: ident, exact: exact, small: small, flag: flag, old: old, any_text: any_text, at: at, rest: rest";
    std::fs::write(&tables, format!("agent_health: {{columns: {{{columns}}}}}")).unwrap();
    let secret = supabase.folder();
    let arguments = [
        "--supabase-dir",
        secret.to_str().unwrap(),
        "--mirror-tables",
        tables.to_str().unwrap(),
    ];
    let sidecar = Sidecar::start_with(&arguments, &[]).await;
    let record = |value: Value| json!({"agent_id": "a", "status": "healthy", "odd": value});
    let mut records: Vec<Value> = odd_values().into_iter().map(record).collect();
    for value in odd_values() {
        records
            .push(json!({"agent_id": "a", "status": "degraded", "old": value, "any_text": value}));
        if value.is_number() {
            records.push(
                json!({"agent_id": "a", "status": "offline", "cpu_pct": value, "exact": value}),
            );
        }
        if let Some(text) = value.as_str() {
            records.push(json!({"agent_id": text, "status": "offline"}));
        }
    }
    for text in ["0.1", "3.4e38", "16777217", "1e-45"] {
        let number: Value = serde_json::from_str(text).unwrap();
        records.push(json!({"agent_id": "a", "status": "healthy", "memory_mb": number}));
    }
    records.push(json!({"agent_id": "a", "status": "healthy", "ident": "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "small": -3, "flag": false,
        "at": "2026-01-01T00:00:00+02:00", "rest": "set"}));
    let lines: Vec<Value> = records
        .into_iter()
        .map(|data| json!({"record_type": "agent_health", "data": data}))
        .collect();
    // Numbers that can't be returned exactly are refused, each for itself.
    let body = Value::from(lines).to_string();
    sidecar.post("/v1/boboyka/ingest/batch", &body).await;
    drained(&sidecar, "agent_health").await;
    let told = checked(&sidecar, "agent_health").await;
    let mirrored = lane(&sidecar, "agent_health").await["mirrored"]
        .as_u64()
        .unwrap();
    assert!(mirrored > 60, "{told}");
    assert_eq!(
        counts(&told),
        [0; 4],
        "{told}\n{}",
        supabase.sql(
            "select seq, any_text, old, exact, cpu_pct, payload from agent_health order by seq"
        )
    );
    assert_eq!(told["parity"]["unchecked_columns"], json!(["at"]), "{told}");
    supabase.change_schema(NO_FUNCTIONS).await;
    let told = checked(&sidecar, "agent_health").await;
    assert_eq!(counts(&told), [0; 4], "read without the functions: {told}");
    for (column, value) in [
        ("ident", "gen_random_uuid()"),
        ("exact", "1"),
        ("small", "4"),
        ("flag", "true"),
        ("rest", "'other'"),
        ("agent_id", "'A'"),
    ] {
        supabase.sql(&format!("update agent_health set {column} = {value} where seq = (select max(seq) from agent_health)"));
        let told = checked(&sidecar, "agent_health").await;
        assert_eq!(counts(&told)[1], 1, "{column}: {told}");
    }
}
