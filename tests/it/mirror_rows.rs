//! Rows that a real Postgres refuses, for now or for good, and those that something in between refuses:
//! each alone, while the lane goes on.

use std::time::{Duration, Instant};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Fault, Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::{converges, health, lane, with_folder};

/// How soon a lane must go on that a row or a hiccup stands in the way of.
const SOON: Duration = Duration::from_secs(30);

async fn ingest_many(sidecar: &Sidecar, data: impl IntoIterator<Item = Value>) {
    let lines = data
        .into_iter()
        .map(|data| json!({"record_type": "agent_health", "data": data}));
    let body = Value::from(lines.collect::<Vec<_>>()).to_string();
    let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn until(sidecar: &Sidecar, limit: Duration, what: impl Fn(&Value) -> bool) -> Value {
    let there = || async { what(&lane(sidecar, "agent_health").await) };
    wait_until(limit, there, || sidecar.log()).await;
    lane(sidecar, "agent_health").await
}

#[tokio::test]
async fn a_lock_on_the_table_makes_no_dead_letter_and_everything_arrives_after_it() {
    let supabase = Supabase::start().await;
    supabase.sql("alter role authenticator set statement_timeout = '400ms'");
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    supabase.sql("alter role service_role set statement_timeout = '400ms'");
    supabase.change_schema("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'").await;
    let lock = supabase.sql_behind(
        "begin; lock table agent_health in access exclusive mode; select pg_sleep(600)",
    );
    let held = || async {
        supabase.sql("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'agent_health'::regclass and granted") == "1"
    };
    wait_until(SOON, held, || "the table was not locked".to_owned()).await;
    ingest_many(&sidecar, (1..300).map(health)).await;
    until(&sidecar, SOON, |lane| lane["state"] != "mirroring").await;
    let asked = supabase.requests();
    let again = || async { supabase.requests() >= asked + 3 };
    wait_until(GUARD, again, || sidecar.log()).await;
    supabase.end_behind(&lock);
    converges(&sidecar, &supabase, 300).await;
    assert_eq!(lane(&sidecar, "agent_health").await["dead_lettered"], 0);
}

#[tokio::test]
async fn a_key_that_is_refused_for_a_moment_stops_the_lane_for_seconds() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    converges(&sidecar, &supabase, 1).await;
    let future = r#"{"code":"PGRST301","message":"JWT issued at future"}"#;
    supabase.fail_next([
        Fault::Status(401, future, None),
        Fault::Status(401, future, None),
    ]);
    let begun = Instant::now();
    ingest_many(&sidecar, (1..20).map(health)).await;
    let told = until(&sidecar, SOON, |lane| {
        lane["state"] == "auth_failed" || lane["backlog"] == 0
    })
    .await;
    if told["state"] == "auth_failed" {
        assert!(told["reason"].to_string().contains("clock"), "{told}");
    }
    converges(&sidecar, &supabase, 20).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_firewall_that_refuses_one_records_text_holds_up_that_record_alone() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    supabase.forbid("/etc/passwd");
    let bad = json!({"agent_id": "x", "status": "healthy", "note": "read /etc/passwd"});
    ingest_many(
        &sidecar,
        (1..150)
            .map(health)
            .chain([bad])
            .chain((150..300).map(health)),
    )
    .await;
    let told = until(&sidecar, SOON, |lane| lane["mirrored"] == 300).await;
    assert_eq!(
        (&told["set_aside"], &told["state"]),
        (&json!(1), &json!("mirroring")),
        "{told}"
    );
    assert_eq!(told["dead_letters"][0]["code"], "HTTP 403");
    assert!(!told.to_string().contains("passwd"), "{told}");
    supabase.forbid("nothing of the kind");
    converges(&sidecar, &supabase, 301).await;
}

#[tokio::test]
async fn orphans_are_set_aside_and_arrive_by_themselves_once_what_they_refer_to_is_there() {
    let supabase = Supabase::start().await;
    let reference = "create table agents (id text primary key); \
        insert into agents select 'a' || n from generate_series(0, 999) n where n % 20 <> 0; \
        alter table agent_health add foreign key (agent_id) references agents";
    supabase.change_schema(reference).await;
    let mut sidecar = with_folder(&supabase).await;
    let begun = Instant::now();
    ingest_many(&sidecar, (0..1_000).map(health)).await;
    let told = until(&sidecar, GUARD, |lane| lane["mirrored"] == 950).await;
    // At ten seconds for each of them it would take more than eight minutes.
    assert!(begun.elapsed() < GUARD, "{:?}", begun.elapsed());
    assert_eq!(
        (&told["set_aside"], &told["dead_lettered"]),
        (&json!(50), &json!(0)),
        "{told}"
    );
    assert_eq!(told["backlog"], 50);
    // Also after a restart.
    sidecar.kill_9();
    sidecar.restart().await;
    until(&sidecar, SOON, |lane| lane["set_aside"] == 50).await;
    supabase.sql("insert into agents select 'a' || n from generate_series(0, 999, 20) n");
    converges(&sidecar, &supabase, 1_000).await;
}

#[tokio::test]
async fn an_orphan_that_comes_home_late_takes_no_state_back() {
    let supabase = Supabase::start().await;
    let tables = "create table projects (id text primary key); drop table project_builds; \
        create table project_builds (build_id text primary key, project_id text references projects, status text, payload jsonb); \
        grant select, insert, update on project_builds to service_role; insert into projects values ('there')";
    supabase.change_schema(tables).await;
    let sidecar = with_folder(&supabase).await;
    let build = |project: &str, status: &str| json!({"project_id": project, "build_id": "b", "status": status});
    let lane = || async { lane(&sidecar, "project_build").await };
    sidecar
        .ingest("project_build", &build("missing", "queued"))
        .await;
    wait_until(
        SOON,
        || async { lane().await["set_aside"] == 1 },
        || sidecar.log(),
    )
    .await;
    sidecar
        .ingest("project_build", &build("there", "running"))
        .await;
    wait_until(
        SOON,
        || async { lane().await["mirrored"] == 2 },
        || sidecar.log(),
    )
    .await;
    supabase.sql("insert into projects values ('missing')");
    let (status, report) = sidecar.post("/v1/boboyka/mirror/retry", "").await;
    assert_eq!(
        (status, &report["retried"]),
        (200, &json!(0)),
        "the orphan is moot: {report}"
    );
    assert_eq!(
        supabase.sql("select project_id, status from project_builds"),
        "there|running"
    );
    assert_eq!(
        (&lane().await["set_aside"], &lane().await["backlog"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_trigger_that_raises_for_one_row_blocks_no_other_and_one_that_discards_is_told() {
    let supabase = Supabase::start().await;
    let trigger = "create function picky() returns trigger language plpgsql as $$ begin
          if new.agent_id = 'internal' then raise 'no' using errcode = 'XX000'; end if;
          if new.agent_id = 'raised' then raise 'no'; end if;
          if new.agent_id = 'discarded' then return null; end if;
          return new; end $$;
        create trigger picky before insert on agent_health for each row execute function picky()";
    supabase.change_schema(trigger).await;
    let sidecar = with_folder(&supabase).await;
    let named = |name: &str| json!({"agent_id": name, "status": "healthy"});
    let bad = ["internal", "raised", "discarded"].map(named);
    ingest_many(
        &sidecar,
        (0..100)
            .map(health)
            .chain(bad)
            .chain((100..200).map(health)),
    )
    .await;
    let told = until(&sidecar, SOON, |lane| lane["mirrored"] == 200).await;
    assert_eq!(
        (&told["set_aside"], &told["dead_lettered"]),
        (&json!(1), &json!(2)),
        "{told}"
    );
    let code = |name: &str| {
        let seq = 101
            + ["internal", "raised", "discarded"]
                .iter()
                .position(|bad| *bad == name)
                .unwrap();
        let letters = told["dead_letters"].as_array().unwrap();
        letters.iter().find(|letter| letter["seq"] == seq).unwrap()["code"].clone()
    };
    assert_eq!(
        (code("internal"), code("raised")),
        (json!("XX000"), json!("P0001"))
    );
    assert_eq!(code("discarded"), "not_kept");
    let receipt = sidecar.ingest("agent_health", &named("discarded")).await;
    assert_eq!(receipt["dual_write"]["ok"], false, "{receipt}");
    supabase.sql("drop trigger picky on agent_health");
    sidecar.post("/v1/boboyka/mirror/retry", "").await;
    converges(&sidecar, &supabase, 204).await;
}

#[tokio::test]
async fn rows_that_were_there_already_are_no_lost_rows() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    converges(&sidecar, &supabase, 1).await;
    supabase.fail_next([Fault::Ambiguous]);
    ingest_many(&sidecar, (1..400).map(health)).await;
    converges(&sidecar, &supabase, 400).await;
    let told = lane(&sidecar, "agent_health").await;
    assert_eq!(
        (&told["mirrored"], &told["dead_lettered"]),
        (&json!(400), &json!(0))
    );
}

#[tokio::test]
async fn columns_that_the_table_fills_itself_are_left_out_and_named() {
    let supabase = Supabase::start().await;
    let table = "alter table agent_health drop column seq, drop column memory_mb; \
        alter table agent_health add column seq bigint generated always as identity, \
          add column memory_mb float8 generated always as (cpu_pct * 2) stored";
    supabase.change_schema(table).await;
    let sidecar = with_folder(&supabase).await;
    let mut data = health(1);
    data["memory_mb"] = json!(7);
    sidecar.ingest("agent_health", &data).await;
    converges(&sidecar, &supabase, 1).await;
    assert_eq!(
        lane(&sidecar, "agent_health").await["lost_columns"],
        json!(["memory_mb", "seq"])
    );
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_told_by_column_and_kind_and_never_itself() {
    let supabase = Supabase::start().await;
    let types = "alter table agent_health alter column cpu_pct type smallint, \
        alter column memory_mb type integer, alter column agent_id type varchar(20)";
    supabase.change_schema(types).await;
    let sidecar = with_folder(&supabase).await;
    let with = |field: &str, value: Value| {
        let mut data = json!({"agent_id": "a", "status": "healthy"});
        data[field] = value;
        data
    };
    let long = "topsecret-topsecret-topsecret";
    ingest_many(
        &sidecar,
        [
            with("cpu_pct", json!(1.25)),
            with("memory_mb", json!(9_876_543_210_u64)),
            with("agent_id", json!(long)),
        ],
    )
    .await;
    let told = until(&sidecar, SOON, |lane| lane["dead_lettered"] == 3).await;
    let message = |at: usize| told["dead_letters"][at]["message"].as_str().unwrap();
    assert_eq!(
        message(0),
        "column cpu_pct: a number with a fraction does not fit the type smallint"
    );
    assert_eq!(
        message(1),
        "column memory_mb: a whole number does not fit the type integer"
    );
    assert_eq!(
        message(2),
        "column agent_id: a text does not fit the type character varying(20)"
    );
    for secret in ["1.25", "9876543210", "topsecret"] {
        assert!(!told.to_string().contains(secret), "{told}");
        assert!(!sidecar.log().contains(secret), "{}", sidecar.log());
    }
}

#[tokio::test]
async fn a_null_is_sent_as_null_and_only_an_absent_field_becomes_the_default() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema("alter table agent_health alter column memory_mb set default 7")
        .await;
    let sidecar = with_folder(&supabase).await;
    let null = json!({"agent_id": "null", "status": "healthy", "memory_mb": null});
    ingest_many(
        &sidecar,
        [null, json!({"agent_id": "absent", "status": "healthy"})],
    )
    .await;
    converges(&sidecar, &supabase, 2).await;
    let rows = supabase.sql("select agent_id, memory_mb from agent_health order by agent_id");
    assert_eq!(rows, "absent|7\nnull|");
}

#[tokio::test]
async fn while_supabase_hangs_only_the_first_ingest_waits() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    converges(&sidecar, &supabase, 1).await;
    supabase.hold();
    let begun = Instant::now();
    sidecar.ingest("agent_health", &health(1)).await;
    let first = begun.elapsed();
    assert!(
        first >= Duration::from_millis(1_500),
        "it did not wait: {first:?}"
    );
    let begun = Instant::now();
    for n in 2..22 {
        let receipt = sidecar.ingest("agent_health", &health(n)).await;
        assert_eq!(
            receipt["dual_write"]["error"],
            "queued: supabase does not answer"
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "they waited: {:?}",
        begun.elapsed()
    );
    supabase.release();
    converges(&sidecar, &supabase, 22).await;
}

#[tokio::test]
async fn the_schema_leaves_who_may_read_and_does_what_it_can_and_says_the_rest() {
    let supabase = Supabase::start().await;
    supabase.sql(
        "drop table project_builds, build_queue, agent_health, agent_audit_log; \
         create table base (a int); create view build_queue as select a from base; \
         create table agent_health (agent_id text, day date) partition by range (day); \
         create table project_builds (build_id text primary key, status text); \
         insert into project_builds values ('b', 'queued'); grant select on project_builds to anon",
    );
    let schema = include_str!("../../sidecar/supabase/schema.sql");
    let notices = supabase.sql_notices(schema);
    let seen =
        supabase.sql("begin; set local role anon; select count(*) from project_builds; commit");
    assert_eq!(seen, "1", "anon reads no longer what it read");
    let secure =
        supabase.sql("select relrowsecurity from pg_class where relname = 'agent_audit_log'");
    assert_eq!(secure, "t");
    for told in [
        "public.build_queue has no column payload",
        "public.agent_health gets no unique key",
        "alter table public.project_builds enable row level security",
    ] {
        assert!(notices.contains(told), "{notices}");
    }
    let columns = supabase.sql("select count(*) from pg_attribute where attrelid = 'agent_health'::regclass and attname in ('payload', 'seq')");
    assert_eq!(columns, "2");
}

#[tokio::test]
async fn wrong_variables_switch_the_mirror_off_and_say_which_and_why() {
    for (url, key, told) in [
        (
            Some("xyz.supabase.co"),
            Some("k"),
            "BOBOYKA_SUPABASE_URL: the supabase url must begin with https:// or http://",
        ),
        (
            Some("postgres://u:topsecret@x"),
            Some("k"),
            "BOBOYKA_SUPABASE_URL: the supabase url must begin with https:// or http://",
        ),
        (
            Some("\"https://x.co\""),
            Some("k"),
            "BOBOYKA_SUPABASE_URL: the supabase url is in quotes",
        ),
        (
            Some("https://x.co"),
            Some("top\nsecret"),
            "BOBOYKA_SUPABASE_KEY: the supabase key holds a character that no key has (a space or a line break?)",
        ),
        (
            Some("https://x.co"),
            None,
            "BOBOYKA_SUPABASE_URL is set and BOBOYKA_SUPABASE_KEY is not: set both",
        ),
        (
            None,
            Some("topsecret"),
            "BOBOYKA_SUPABASE_KEY is set and BOBOYKA_SUPABASE_URL is not: set both",
        ),
    ] {
        let variables: Vec<(&str, &str)> =
            [("BOBOYKA_SUPABASE_URL", url), ("BOBOYKA_SUPABASE_KEY", key)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
        let sidecar = Sidecar::start_with(&[], &variables).await;
        let receipt = sidecar.ingest("agent_health", &health(0)).await;
        assert_eq!(receipt["dual_write"]["enabled"], false);
        let lane = lane(&sidecar, "agent_health").await;
        assert_eq!(
            (&lane["state"], &lane["reason"]),
            (&json!("disabled"), &json!(told))
        );
        assert!(
            sidecar.log().contains(told.split(':').next().unwrap()),
            "{}",
            sidecar.log()
        );
        assert!(!sidecar.log().contains("secret"), "{}", sidecar.log());
    }
}
