//! The mirror against a real Postgres and PostgREST: nothing lost, nothing doubled, told as it is.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Fault, Sidecar, Supabase, Tls};
use serde_json::{Value, json};

pub(crate) fn health(n: u64) -> Value {
    json!({"agent_id": format!("a{n}"), "status": "healthy", "cpu_pct": 12.5, "n": n})
}

pub(crate) async fn with_folder(supabase: &Supabase) -> Sidecar {
    let folder = supabase.folder();
    Sidecar::start_with(&["--supabase-dir", folder.to_str().unwrap()], &[]).await
}

pub(crate) async fn lane(sidecar: &Sidecar, name: &str) -> Value {
    let mirror = sidecar.get("/v1/boboyka/mirror").await;
    let lanes = mirror["lanes"].as_array().unwrap();
    lanes
        .iter()
        .find(|lane| lane["record_type"] == name)
        .unwrap()
        .clone()
}

/// Waits until the health lane has nothing left, then compares: every record once, and only those.
pub(crate) async fn converges(sidecar: &Sidecar, supabase: &Supabase, records: usize) {
    let explain = || format!("the mirror did not converge\n{}", sidecar.log());
    wait_until(
        GUARD,
        || async { lane(sidecar, "agent_health").await["backlog"] == 0 },
        explain,
    )
    .await;
    let rows = supabase.rows("agent_health");
    let hashes: HashSet<_> = rows
        .iter()
        .map(|row| row["record_hash"].to_string())
        .collect();
    assert_eq!((rows.len(), hashes.len()), (records, records));
    let key = supabase.jwt_key();
    assert!(!sidecar.log().contains(&key), "the key is in the log");
}

/// Ingests a record until a receipt says that its row is there; that receipt. The first may come before the lane knows its
/// table, and on a slow machine a row may come after its receipt.
pub(crate) async fn ingest_mirrored(sidecar: &Sidecar, data: &Value) -> Value {
    let begun = Instant::now();
    loop {
        let receipt = sidecar.ingest("agent_health", data).await;
        if receipt["dual_write"]["ok"] == true {
            return receipt;
        }
        assert!(begun.elapsed() < GUARD, "{receipt}\n{}", sidecar.log());
    }
}

#[tokio::test]
async fn with_the_pages_variables_the_row_is_there_when_the_receipt_is() {
    let supabase = Supabase::start().await;
    let (url, key) = (supabase.url(), supabase.jwt_key());
    let variables = [
        ("BOBOYKA_SUPABASE_URL", &*url),
        ("BOBOYKA_SUPABASE_KEY", &*key),
    ];
    let sidecar = Sidecar::start_with(&[], &variables).await;
    let receipt = ingest_mirrored(&sidecar, &health(1)).await;
    assert_eq!(
        receipt["dual_write"],
        json!({"enabled": true, "ok": true, "error": null})
    );
    let rows = supabase.rows("agent_health");
    let row = rows
        .iter()
        .find(|row| row["record_hash"] == receipt["record_hash"])
        .unwrap();
    assert_eq!(
        (&row["agent_id"], &row["cpu_pct"]),
        (&json!("a1"), &json!(12.5))
    );
    assert_eq!(
        (&row["payload"], &row["seq"]),
        (&health(1), &receipt["seq"])
    );
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(
        status["integration_phase"],
        "Phase 1 — dual-write (SapixDB + Supabase)"
    );
    assert_eq!(
        (&status["dual_write_enabled"], &status["supabase_url"]),
        (&json!(true), &json!(url))
    );
    let events = sidecar.get("/v1/boboyka/events?limit=1").await;
    assert_eq!(events["events"][0]["dual_write_ok"], true);
    for text in [status.to_string(), events.to_string(), sidecar.log()] {
        assert!(!text.contains(&key), "the key is in an output");
    }
}

#[tokio::test]
async fn an_outage_of_postgres_fails_no_ingest_and_is_caught_up_with() {
    let mut supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    supabase.stop_postgres();
    for n in 1..30 {
        let receipt = sidecar.ingest("agent_health", &health(n)).await;
        assert_eq!(receipt["dual_write"]["ok"], false, "{receipt}");
        let error = receipt["dual_write"]["error"].as_str().unwrap();
        assert!(error.starts_with("queued"), "{error}");
    }
    supabase.start_postgres();
    converges(&sidecar, &supabase, 30).await;
}

#[tokio::test]
async fn what_the_gateway_does_loses_and_doubles_nothing() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    supabase.fail_next([
        Fault::Status(429, "slow down", Some("0")),
        Fault::Status(520, "<html>", None),
        Fault::Ambiguous,
        Fault::Slow(Duration::from_millis(300)),
        Fault::Status(503, "{}", Some("1")),
    ]);
    for n in 1..20 {
        sidecar.ingest("agent_health", &health(n)).await;
    }
    converges(&sidecar, &supabase, 20).await;
}

#[tokio::test]
async fn a_row_that_a_check_refuses_is_a_dead_letter_and_the_rest_goes_on_until_it_is_replayed() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    let check = "alter table agent_health add constraint calm check (cpu_pct < 90)";
    supabase.change_schema(check).await;
    let hot = json!({"agent_id": "hot", "status": "degraded", "cpu_pct": 99.0});
    let lines: Vec<_> = (0..9)
        .map(|n| json!({"record_type": "agent_health", "data": health(n)}))
        .chain([json!({"record_type": "agent_health", "data": hot})])
        .chain((10..20).map(|n| json!({"record_type": "agent_health", "data": health(n)})))
        .collect();
    sidecar
        .post("/v1/boboyka/ingest/batch", &Value::from(lines).to_string())
        .await;
    converges(&sidecar, &supabase, 19).await;
    let refused = lane(&sidecar, "agent_health").await;
    assert_eq!(refused["dead_lettered"], 1, "{refused}");
    assert_eq!(refused["dead_letters"][0]["code"], "23514");
    assert!(
        !refused.to_string().contains("hot"),
        "row data in the status: {refused}"
    );
    supabase
        .change_schema("alter table agent_health drop constraint calm")
        .await;
    let (status, report) = sidecar.post("/v1/boboyka/mirror/retry", "").await;
    assert_eq!((status, &report["mirrored"]), (200, &json!(1)), "{report}");
    converges(&sidecar, &supabase, 20).await;
}

#[tokio::test]
async fn a_table_with_fewer_columns_gets_what_fits_and_the_loss_is_told() {
    let supabase = Supabase::start().await;
    supabase
        .change_schema("alter table agent_health drop column memory_mb")
        .await;
    let sidecar = with_folder(&supabase).await;
    let data = json!({"agent_id": "a", "status": "healthy", "memory_mb": 7});
    sidecar.ingest("agent_health", &data).await;
    converges(&sidecar, &supabase, 1).await;
    assert_eq!(supabase.rows("agent_health")[0]["payload"], data);
    assert_eq!(
        lane(&sidecar, "agent_health").await["lost_columns"],
        json!(["memory_mb"])
    );
}

#[tokio::test]
async fn a_revoked_grant_pauses_the_lane_and_a_retry_resumes_it_after_the_grant() {
    let supabase = Supabase::start().await;
    let sidecar = with_folder(&supabase).await;
    supabase
        .change_schema("revoke insert on agent_health from service_role")
        .await;
    sidecar.ingest("agent_health", &health(0)).await;
    wait_until(
        GUARD,
        || async { lane(&sidecar, "agent_health").await["state"] == "auth_failed" },
        || sidecar.log(),
    )
    .await;
    supabase
        .change_schema("grant insert on agent_health to service_role")
        .await;
    sidecar.post("/v1/boboyka/mirror/retry", "").await;
    converges(&sidecar, &supabase, 1).await;
}

#[tokio::test]
async fn a_rotated_key_of_the_new_style_is_taken_from_the_folder_without_a_restart() {
    let supabase = Supabase::start().await;
    supabase.write_folder(&supabase.secret_key());
    let sidecar = with_folder(&supabase).await;
    sidecar.ingest("agent_health", &health(0)).await;
    converges(&sidecar, &supabase, 1).await;
    supabase.rotate_secret_key("sb_secret_of_the_second_day");
    sidecar.ingest("agent_health", &health(1)).await;
    supabase.write_folder("sb_secret_of_the_second_day\n");
    converges(&sidecar, &supabase, 2).await;
    assert!(
        !sidecar.log().contains("sb_secret_of"),
        "a key is in the log"
    );
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_drain_loses_and_doubles_nothing() {
    let supabase = Supabase::start().await;
    let mut sidecar = with_folder(&supabase).await;
    let line = |n| json!({"record_type": "agent_health", "data": health(n)});
    for first in [0, 3_000, 6_000] {
        let lines = Value::from((first..first + 3_000).map(line).collect::<Vec<_>>());
        sidecar
            .post("/v1/boboyka/ingest/batch", &lines.to_string())
            .await;
        sidecar.kill_9();
        sidecar.restart().await;
    }
    converges(&sidecar, &supabase, 9_000).await;
}

#[test]
fn the_tables_of_the_schema_have_a_column_for_every_field() {
    let schema = include_str!("../../sidecar/supabase/schema.sql");
    for record_type in boboyka_strand::RecordType::MIRRORED {
        let start = format!(
            "create table if not exists public.{} (",
            record_type.table().unwrap()
        );
        let table = schema
            .split(&start)
            .nth(1)
            .unwrap()
            .split(");")
            .next()
            .unwrap();
        for field in record_type.fields() {
            assert!(
                table.contains(&format!("\n  {} ", field.name)),
                "{record_type}: {}",
                field.name
            );
        }
    }
}

#[tokio::test]
async fn over_tls_an_authority_of_the_machines_is_trusted_and_no_other() {
    let supabase = Supabase::start().await;
    let upstream = supabase.url().replace("http://", "").parse().unwrap();
    let tls = Tls::before(upstream).await;
    let (url, key) = (tls.url(), supabase.jwt_key());
    let variables = [
        ("BOBOYKA_SUPABASE_URL", &*url),
        ("BOBOYKA_SUPABASE_KEY", &*key),
    ];
    let stranger = Sidecar::start_with(&[], &variables).await;
    let receipt = stranger.ingest("agent_health", &health(1)).await;
    let error = receipt["dual_write"]["error"].as_str().unwrap();
    assert!(error.starts_with("queued: "), "{error}");
    let authority = tls.authority().to_str().unwrap();
    let trusting = [variables[0], variables[1], ("SSL_CERT_FILE", authority)];
    let sidecar = Sidecar::start_with(&[], &trusting).await;
    sidecar.ingest("agent_health", &health(2)).await;
    converges(&sidecar, &supabase, 1).await;
    let reason = lane(&stranger, "agent_health").await["reason"].to_string();
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn a_private_authority_and_a_proxy_are_taken_from_the_folder_or_the_environment() {
    let supabase = Supabase::start().await;
    let upstream = supabase.url().replace("http://", "").parse().unwrap();
    let tls = Tls::before(upstream).await;
    let folder = supabase.folder();
    std::fs::write(folder.join("url"), tls.url()).unwrap();
    std::fs::write(folder.join("ca.crt"), "no certificate").unwrap();
    let sidecar = with_folder(&supabase).await;
    let told = lane(&sidecar, "agent_health").await;
    assert_eq!(
        told["reason"],
        "the file ca.crt in the supabase folder holds no certificate in PEM form"
    );
    std::fs::copy(tls.authority(), folder.join("ca.crt")).unwrap();
    sidecar.ingest("agent_health", &health(1)).await;
    converges(&sidecar, &supabase, 1).await;
    // A proxy is asked for a host that only it knows.
    std::fs::write(folder.join("proxy"), supabase.url()).unwrap();
    let unknown = "http://supabase.invalid";
    std::fs::write(folder.join("url"), unknown).unwrap();
    let taken = || async { sidecar.get("/v1/boboyka/mirror").await["supabase_url"] == unknown };
    wait_until(GUARD, taken, || sidecar.log()).await;
    sidecar.ingest("agent_health", &health(2)).await;
    converges(&sidecar, &supabase, 2).await;
    assert!(sidecar.log().contains("begins with http://"), "no warning");
    let (proxy, key) = (supabase.url(), supabase.jwt_key());
    let variables = [
        ("BOBOYKA_SUPABASE_URL", unknown),
        ("BOBOYKA_SUPABASE_KEY", &*key),
        ("HTTP_PROXY", &*proxy),
        ("NO_PROXY", ""),
    ];
    let by_environment = Sidecar::start_with(&[], &variables).await;
    by_environment.ingest("agent_health", &health(3)).await;
    converges(&by_environment, &supabase, 3).await;
}
