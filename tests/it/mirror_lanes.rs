//! Lanes in trouble, on a real Postgres and PostgREST: tables that are not as they should be, and
//! gateways that cut connections.

use std::time::Duration;

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Fault, Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::{converges, health, ingest_mirrored, lane, with_folder};

/// Takes records of the health lane, in one batch.
async fn ingest_many(sidecar: &Sidecar, data: impl IntoIterator<Item = Value>) {
    let lines: Vec<_> = data
        .into_iter()
        .map(|data| json!({"record_type": "agent_health", "data": data}))
        .collect();
    let body = Value::from(lines).to_string();
    let (status, answer) = sidecar.post("/v1/boboyka/ingest/batch", &body).await;
    assert_eq!(status, 200, "{answer}");
}

async fn wait_for_state(sidecar: &Sidecar, name: &str, state: &str) -> Value {
    let explain = || format!("{name} did not become {state}\n{}", sidecar.log());
    let there = || async { lane(sidecar, name).await["state"] == state };
    wait_until(GUARD, there, explain).await;
    lane(sidecar, name).await
}

async fn retry(sidecar: &Sidecar) -> Value {
    let (status, report) = sidecar.post("/v1/boboyka/mirror/retry", "").await;
    assert_eq!(status, 200, "{report}");
    report
}

#[tokio::test]
async fn cut_and_broken_connections_lose_and_double_nothing() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    supabase.fail_next([
        Fault::Cut,
        Fault::SlowBody(400, Duration::from_millis(300)),
        Fault::Ambiguous,
        Fault::SlowBody(503, Duration::from_millis(300)),
    ]);
    ingest_many(&sidecar, (1..1_200).map(health)).await;
    converges(&sidecar, &supabase, 1_200).await;
    let lane = lane(&sidecar, "agent_health").await;
    assert_eq!(
        (&lane["mirrored"], &lane["dead_lettered"]),
        (&json!(1_200), &json!(0))
    );
}

#[tokio::test]
async fn a_gateway_that_cuts_off_long_uploads_gets_shorter_ones() {
    let supabase = Supabase::start().await;
    supabase.cut_uploads_above(100_000);
    let sidecar = with_folder(&supabase).await;
    let long =
        |n| json!({"agent_id": format!("a{n}"), "status": "healthy", "notes": "x".repeat(900)});
    ingest_many(&sidecar, (0..400).map(long)).await;
    converges(&sidecar, &supabase, 400).await;
    assert_eq!(lane(&sidecar, "agent_health").await["dead_lettered"], 0);
}

#[tokio::test]
async fn a_table_without_the_unique_key_is_filled_and_the_loss_is_told() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema("drop index agent_health_record_hash_key")
        .await;
    let sidecar = with_folder(&supabase).await;
    ingest_many(&sidecar, (0..20).map(health)).await;
    converges(&sidecar, &supabase, 20).await;
    let lane = lane(&sidecar, "agent_health").await;
    assert_eq!(
        (&lane["idempotent"], &lane["lost_columns"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test]
async fn a_table_of_the_users_own_with_nothing_but_a_payload_gets_the_payloads() {
    let supabase = Supabase::start().await;
    let table = "drop table agent_health; create table agent_health (payload jsonb); \
                 grant insert on agent_health to service_role";
    supabase.change_schema(table).await;
    let sidecar = with_folder(&supabase).await;
    ingest_many(&sidecar, (0..5).map(health)).await;
    let done = || async { lane(&sidecar, "agent_health").await["mirrored"] == 5 };
    wait_until(GUARD, done, || sidecar.log()).await;
    let sum = supabase.sql("select count(*), sum((payload->>'n')::int) from agent_health");
    assert_eq!(sum, "5|10");
    let lane = lane(&sidecar, "agent_health").await;
    assert_eq!(lane["idempotent"], false);
    assert_eq!(lane["lost_columns"].as_array().unwrap().len(), 9, "{lane}");
}

#[tokio::test]
async fn a_missing_table_stops_only_its_own_lane() {
    let supabase = Supabase::start().await;
    let hidden = "alter table build_queue rename to hidden";
    supabase.change_schema(hidden).await;
    let sidecar = with_folder(&supabase).await;
    let stopped = wait_for_state(&sidecar, "build_queue_item", "schema_mismatch").await;
    assert_eq!(stopped["reason"], "table build_queue is missing");
    let item = json!({"queue_id": "q", "project_id": "p", "status": "waiting"});
    let receipt = sidecar.ingest("build_queue_item", &item).await;
    assert_eq!(
        receipt["dual_write"]["error"],
        "queued: table build_queue is missing"
    );
    wait_for_state(&sidecar, "agent_health", "mirroring").await;
    ingest_mirrored(&sidecar, &health(0)).await;
    supabase
        .change_schema("alter table hidden rename to build_queue")
        .await;
    retry(&sidecar).await;
    let done = || async { lane(&sidecar, "build_queue_item").await["backlog"] == 0 };
    wait_until(GUARD, done, || sidecar.log()).await;
    assert_eq!(supabase.rows("build_queue").len(), 1);
}

#[tokio::test]
async fn a_table_that_refuses_every_record_stops_its_lane_and_is_made_good_later() {
    let supabase = Supabase::start().await;
    let check = "alter table agent_health add constraint closed check (false)";
    supabase.change_schema(check).await;
    let sidecar = with_folder(&supabase).await;
    ingest_many(&sidecar, (0..700).map(health)).await;
    let refused = wait_for_state(&sidecar, "agent_health", "refused").await;
    assert_eq!(
        (&refused["dead_lettered"], &refused["backlog"]),
        (&json!(100), &json!(600))
    );
    supabase
        .change_schema("alter table agent_health drop constraint closed")
        .await;
    let report = retry(&sidecar).await;
    assert_eq!(
        report,
        json!({"retried": 100, "mirrored": 100, "dead_lettered": 0})
    );
    converges(&sidecar, &supabase, 700).await;
}

#[tokio::test]
async fn a_row_that_comes_before_the_one_it_refers_to_is_awaited() {
    let supabase = Supabase::start().await;
    let reference = "create table agents (id text primary key); \
                     alter table agent_health add foreign key (agent_id) references agents";
    supabase.change_schema(reference).await;
    let sidecar = with_folder(&supabase).await;
    ingest_many(&sidecar, (0..3).map(health)).await;
    let waits = || async { lane(&sidecar, "agent_health").await["set_aside"] == 3 };
    wait_until(GUARD, waits, || sidecar.log()).await;
    supabase.sql("insert into agents values ('a0'), ('a1'), ('a2')");
    converges(&sidecar, &supabase, 3).await;
    assert_eq!(lane(&sidecar, "agent_health").await["dead_lettered"], 0);
}

#[tokio::test]
async fn records_from_before_supabase_are_caught_up_through_kills_in_the_middle_of_it() {
    let supabase = Supabase::start().await;
    supabase.write_folder("");
    let mut sidecar = with_folder(&supabase).await;
    for first in [0, 3_000, 6_000] {
        ingest_many(&sidecar, (first..first + 3_000).map(health)).await;
    }
    let disabled = lane(&sidecar, "agent_health").await;
    assert_eq!(disabled["reason"], "the supabase key is empty");
    supabase.write_folder(&supabase.jwt_key());
    let count = || -> u64 {
        supabase
            .sql("select count(*) from agent_health")
            .parse()
            .unwrap()
    };
    let mut interrupted = 0;
    for _ in 0..3 {
        let before = count();
        wait_until(
            GUARD,
            || async { count() > before || before == 9_000 },
            || format!("nothing more came than {before}\n{}", sidecar.log()),
        )
        .await;
        sidecar.kill_9();
        interrupted += u32::from(count() < 9_000);
        sidecar.restart().await;
    }
    assert!(interrupted > 0, "every kill came after the drain");
    converges(&sidecar, &supabase, 9_000).await;
}

#[tokio::test]
async fn a_database_that_is_read_only_for_a_while_loses_nothing() {
    let supabase = Supabase::start().await;
    supabase.write_folder(&supabase.jwt_key());
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    // What a replica, or a project whose disk is full, answers.
    supabase.sql(
        "create function refuse() returns trigger language plpgsql as $$ begin
           raise 'cannot execute INSERT in a read-only transaction' using errcode = '25006';
         end $$;
         create trigger refuse before insert on agent_health for each row execute function refuse()",
    );
    let mut records = 1;
    let told = loop {
        let receipt = sidecar.ingest("agent_health", &health(records)).await;
        records += 1;
        let error = receipt["dual_write"]["error"].as_str().unwrap_or_default();
        if error.contains("25006") {
            break error.to_owned();
        }
        assert!(records < 20, "it was not told: {receipt}");
    };
    assert!(told.starts_with("queued: "), "{told}");
    assert_eq!(lane(&sidecar, "agent_health").await["dead_lettered"], 0);
    supabase.sql("drop trigger refuse on agent_health");
    retry(&sidecar).await;
    converges(&sidecar, &supabase, usize::try_from(records).unwrap()).await;
}
