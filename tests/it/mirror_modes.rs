//! A row for each build, queue item or agent, on a real Postgres and PostgREST: tables of state as
//! Boboyka has them, and the order in which their rows change.

use std::time::{Duration, Instant};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Fault, Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::{lane, with_folder};

/// Boboyka's own table of builds: one row for each, without a column of ours.
const BUILDS: &str = "drop table project_builds; \
    create table project_builds (build_id text primary key, project_id text not null, status text not null, \
      agent_id text, started_at_ms bigint, completed_at_ms bigint, output_url text, \
      updated_at timestamptz default now()); \
    grant select, insert, update on project_builds to service_role";

fn build(id: &str, status: &str) -> Value {
    json!({"project_id": "p", "build_id": id, "status": status})
}

async fn drained(sidecar: &Sidecar, name: &str) {
    let done = || async { lane(sidecar, name).await["backlog"] == 0 };
    wait_until(GUARD, done, || sidecar.log()).await;
}

async fn ingest_batch(sidecar: &Sidecar, kind: &str, data: impl IntoIterator<Item = Value>) {
    let lines = data
        .into_iter()
        .map(|data| json!({"record_type": kind, "data": data}));
    let body = Value::from(lines.collect::<Vec<_>>()).to_string();
    let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn the_records_of_one_build_keep_its_one_row_up_to_date() {
    let supabase = Supabase::start().await;
    supabase.change_schema(BUILDS).await;
    let sidecar = with_folder(&supabase).await;
    let started = json!({"project_id": "p", "build_id": "b", "status": "running", "started_at_ms": 1, "agent_id": "a"});
    let ended = json!({"project_id": "p", "build_id": "b", "status": "succeeded", "completed_at_ms": 2, "agent_id": null});
    for data in [build("b", "queued"), started, ended] {
        let receipt = sidecar.ingest("project_build", &data).await;
        drained(&sidecar, "project_build").await;
        assert_eq!(receipt["dual_write"]["enabled"], true);
    }
    let row = supabase
        .sql("select status, started_at_ms, completed_at_ms, agent_id is null from project_builds");
    assert_eq!(
        row, "succeeded|1|2|t",
        "absent fields stay, a null is a value"
    );
    let told = lane(&sidecar, "project_build").await;
    assert_eq!(
        (&told["mode"], &told["key"]),
        (&json!("latest"), &json!(["build_id"]))
    );
    assert_eq!(
        (&told["dead_lettered"], &told["mirrored"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(lane(&sidecar, "agent_health").await["mode"], "append");
}

#[tokio::test]
async fn the_four_tables_of_the_document_are_kept_as_it_says() {
    let document = include_str!("../../docs/supabase.md");
    let tables = document.split("```sql\n").nth(1).unwrap();
    let tables = tables.split("```").next().unwrap();
    let supabase = Supabase::start().await;
    supabase.sql("drop table project_builds, build_queue, agent_health, agent_audit_log");
    supabase.sql(tables);
    let schema = include_str!("../../sidecar/supabase/schema.sql");
    supabase.sql_notices(schema);
    supabase.change_schema("select 1").await;
    let sidecar = with_folder(&supabase).await;
    let item = |status: &str| json!({"queue_id": "q", "project_id": "p", "status": status, "enqueued_at_ms": 1});
    for round in ["queued", "running"] {
        sidecar.ingest("project_build", &build("b", round)).await;
        let waits = if round == "queued" {
            "waiting"
        } else {
            "processing"
        };
        sidecar.ingest("build_queue_item", &item(waits)).await;
        let health = json!({"agent_id": "a", "status": "healthy", "cpu_pct": 1.5});
        sidecar.ingest("agent_health", &health).await;
        let event = json!({"agent_id": "a", "event": round, "metadata": {"n": 1}});
        sidecar.ingest("audit_log", &event).await;
    }
    for (name, table, mode, rows) in [
        ("project_build", "project_builds", "latest", "1|running"),
        ("build_queue_item", "build_queue", "latest", "1|processing"),
        ("agent_health", "agent_health", "append", "2|healthy"),
        ("audit_log", "agent_audit_log", "append", "2|running"),
    ] {
        drained(&sidecar, name).await;
        let lane = lane(&sidecar, name).await;
        assert_eq!(
            (&lane["mode"], &lane["guarded"]),
            (&json!(mode), &json!(mode == "latest"))
        );
        assert_eq!(
            (&lane["lost_columns"], &lane["dead_lettered"]),
            (&json!([]), &json!(0))
        );
        let state = if table == "agent_audit_log" {
            "event"
        } else {
            "status"
        };
        let there = supabase.sql(&format!("select count(*), max({state}) from {table}"));
        assert_eq!(there, rows, "{table}");
    }
}

#[tokio::test]
async fn a_batch_with_many_states_of_few_builds_ends_with_the_newest_of_each() {
    let supabase = Supabase::start().await;
    supabase.change_schema(BUILDS).await;
    let sidecar = with_folder(&supabase).await;
    let statuses = ["queued", "running", "failed", "succeeded"];
    let records = (0..1_600).map(|n: usize| {
        let mut data = build(&format!("b{}", n % 10), statuses[(n / 10) % 4]);
        data["started_at_ms"] = json!(n);
        data
    });
    ingest_batch(&sidecar, "project_build", records).await;
    drained(&sidecar, "project_build").await;
    let rows = supabase.sql(
        "select count(*), min(started_at_ms), string_agg(distinct status, ',') from project_builds",
    );
    assert_eq!(rows, "10|1590|succeeded");
}

#[tokio::test]
async fn a_late_request_takes_no_row_back_in_time() {
    let supabase = Supabase::start().await;
    let unique = "alter table project_builds add constraint one unique (build_id); \
        select boboyka_guard('project_builds'); grant update on project_builds to service_role";
    supabase.change_schema(unique).await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("project_build", &build("b", "queued")).await;
    drained(&sidecar, "project_build").await;
    assert_eq!(lane(&sidecar, "project_build").await["guarded"], true);
    let late = Duration::from_secs(3);
    supabase.fail_next([Fault::Late(late)]);
    sidecar
        .ingest("project_build", &build("b", "running"))
        .await;
    sidecar
        .ingest("project_build", &build("b", "succeeded"))
        .await;
    drained(&sidecar, "project_build").await;
    let before = supabase.requests();
    tokio::time::sleep(2 * late).await;
    let row = supabase.sql("select status, seq from project_builds");
    assert_eq!(
        row,
        "succeeded|3",
        "requests: {before} to {}",
        supabase.requests()
    );
    assert_eq!(lane(&sidecar, "project_build").await["dead_lettered"], 0);
}

#[tokio::test]
async fn without_the_guard_nothing_newer_is_sent_while_a_request_may_still_be_carried_out() {
    let supabase = Supabase::start().await;
    supabase.change_schema(BUILDS).await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("project_build", &build("b", "queued")).await;
    drained(&sidecar, "project_build").await;
    let asked = Instant::now();
    supabase.fail_next([Fault::Late(Duration::from_secs(4))]);
    sidecar
        .ingest("project_build", &build("b", "running"))
        .await;
    let done = || async { lane(&sidecar, "project_build").await["mirrored"] == 2 };
    wait_until(GUARD, done, || sidecar.log()).await;
    let receipt = sidecar
        .ingest("project_build", &build("b", "succeeded"))
        .await;
    // On a slow machine the minute may be over in which the request could be carried out.
    let error = receipt["dual_write"]["error"].as_str();
    let waits = ["may still be carried out", "not mirrored yet"];
    let has_waited = asked.elapsed() >= Duration::from_mins(1);
    let is_told = error.is_some_and(|error| waits.iter().any(|wait| error.contains(wait)));
    assert!(is_told || has_waited && error.is_none(), "{receipt}");
    drained(&sidecar, "project_build").await;
    assert_eq!(
        supabase.sql("select status from project_builds"),
        "succeeded"
    );
}

#[tokio::test]
async fn two_strands_that_write_one_row_agree_on_the_newest() {
    let supabase = Supabase::start().await;
    let unique = "alter table agent_health add constraint one unique (agent_id); \
        select boboyka_guard('agent_health'); grant update on agent_health to service_role";
    supabase.change_schema(unique).await;
    let health = |cpu: u32| json!({"agent_id": "a", "status": "healthy", "cpu_pct": cpu});
    let folder = supabase.folder();
    supabase.write_folder("");
    let slow = Sidecar::start_with(&["--supabase-dir", folder.to_str().unwrap()], &[]).await;
    slow.ingest("agent_health", &health(1)).await;
    let (url, key) = (supabase.url(), supabase.jwt_key());
    let variables = [
        ("BOBOYKA_SUPABASE_URL", &*url),
        ("BOBOYKA_SUPABASE_KEY", &*key),
    ];
    let quick = Sidecar::start_with(&[], &variables).await;
    quick.ingest("agent_health", &health(2)).await;
    drained(&quick, "agent_health").await;
    // The first one's older record comes late.
    supabase.write_folder(&key);
    let done = || async { lane(&slow, "agent_health").await["mirrored"] == 1 };
    wait_until(GUARD, done, || slow.log()).await;
    assert_eq!(supabase.sql("select cpu_pct from agent_health"), "2");
}

#[tokio::test]
async fn a_file_names_tables_modes_keys_and_columns() {
    let supabase = Supabase::start().await;
    let tables = "create table builds (id text, project text, status text, branch text, raw jsonb, primary key (project, id)); \
        create table audit (who text, event text unique, payload jsonb, record_hash text unique); \
        grant select, insert, update on builds, audit to service_role";
    supabase.change_schema(tables).await;
    let file = supabase.folder().join("tables.yaml");
    let yaml = "project_build: {table: builds, mode: latest, key: 'project_id, build_id', \
                columns: {build_id: id, project_id: project, payload: raw, git_branch: branch}}\n\
                audit_log: {table: audit, mode: latest, key: event, columns: {agent_id: who}}\n";
    std::fs::write(&file, yaml).unwrap();
    let folder = supabase.folder();
    let flags = [
        "--supabase-dir",
        folder.to_str().unwrap(),
        "--mirror-tables",
        file.to_str().unwrap(),
    ];
    let sidecar = Sidecar::start_with(&flags, &[]).await;
    let mut data = build("b", "running");
    data["git_branch"] = json!("main");
    sidecar.ingest("project_build", &data).await;
    sidecar.ingest("project_build", &build("b", "failed")).await;
    for agent in ["a", "b"] {
        sidecar
            .ingest(
                "audit_log",
                &json!({"agent_id": agent, "event": "deployed"}),
            )
            .await;
    }
    drained(&sidecar, "project_build").await;
    drained(&sidecar, "audit_log").await;
    let row = supabase.sql("select id, project, status, branch, raw->>'status' from builds");
    assert_eq!(row, "b|p|failed|main|failed");
    assert_eq!(supabase.sql("select who, event from audit"), "b|deployed");
    assert_eq!(lane(&sidecar, "project_build").await["table"], "builds");
}

#[tokio::test]
async fn a_mode_that_the_table_can_t_do_or_may_not_is_told_with_what_to_do() {
    let supabase = Supabase::start().await;
    let file = supabase.folder().join("tables.yaml");
    std::fs::write(&file, "project_build: {mode: latest}\n").unwrap();
    supabase
        .change_schema("alter table agent_health add constraint one unique (agent_id)")
        .await;
    let folder = supabase.folder();
    let flags = [
        "--supabase-dir",
        folder.to_str().unwrap(),
        "--mirror-tables",
        file.to_str().unwrap(),
    ];
    let sidecar = Sidecar::start_with(&flags, &[]).await;
    let told = |name: &'static str, state: &'static str| {
        let sidecar = &sidecar;
        async move {
            let there = || async { lane(sidecar, name).await["state"] == state };
            wait_until(GUARD, there, || sidecar.log()).await;
            lane(sidecar, name).await["reason"]
                .as_str()
                .unwrap()
                .to_owned()
        }
    };
    let reason = told("project_build", "schema_mismatch").await;
    assert_eq!(
        reason,
        "table project_builds can't do the mode latest: it has no unique key on build_id"
    );
    let reason = told("agent_health", "auth_failed").await;
    assert!(
        reason.contains("grant select, insert, update on agent_health"),
        "{reason}"
    );
}
