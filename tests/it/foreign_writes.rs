//! Rows that somebody else writes into the tables, on a real Postgres and PostgREST: counted, with keys and no values,
//! and unknown where they can't be counted.

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::{Value, json};

use crate::mirror::{health, with_folder};
use crate::parity::{drained, ingest_many};

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
    // The looking begins at `checked_at_ms` and may see a row that is newer.
    assert!(
        newest.as_u64().unwrap() <= boboyka_store::now_ms(),
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

#[tokio::test]
async fn nobody_but_the_service_role_may_call_what_compares_and_counts() {
    let supabase = Supabase::start().await;
    let all = "grant execute on all functions in schema public to anon, authenticated";
    supabase.sql(all);
    supabase.sql_notices(include_str!("../../sidecar/supabase/schema.sql"));
    let may = supabase.sql(
        "select r, count(*) filter (where has_function_privilege(r, p.oid, 'execute')), bool_or(p.prosecdef) \
         from pg_proc p, unnest(array['anon', 'authenticated', 'service_role']) r \
         where proname in ('boboyka_columns', 'boboyka_comparison', 'boboyka_cast', 'boboyka_row_digest', 'boboyka_digest', 'boboyka_rows', \
           'boboyka_rows_of_keys', 'boboyka_foreign_rows') group by r order by r",
    );
    assert_eq!(may, "anon|0|f\nauthenticated|0|f\nservice_role|8|f");
}
