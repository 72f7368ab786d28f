//! A step waits for what was found in Supabase: each difference, and each row of somebody else, blocks it by its own gate.

use boboyka_tests::Supabase;
use boboyka_tests::process::{GUARD, wait_until};

use crate::laptop::Laptop;
use crate::mirror::health;

#[tokio::test]
async fn every_difference_blocks_a_step_and_names_itself_until_it_is_mended() {
    let supabase = Supabase::start().await;
    let laptop = Laptop::start(Some(&supabase)).await;
    for n in 0..5 {
        laptop.sidecar.ingest("agent_health", &health(n)).await;
    }
    let all = || async { supabase.sql("select count(*) from agent_health") == "5" };
    wait_until(GUARD, all, || laptop.told()).await;
    for (spoil, gate, evidence, mend) in [
        (
            "delete from agent_health where seq = 2",
            "Parity",
            "agent_health: 1 missing",
            None,
        ),
        (
            "update agent_health set status = status || 'x' where seq = 3",
            "Parity",
            "agent_health: 1 changed",
            Some("update agent_health set status = left(status, -1) where seq = 3"),
        ),
        (
            "insert into agent_health (agent_id, status, payload, record_hash, strand, seq, ingested_at_ms) \
             values ('stranger', 'healthy', '{}', repeat('ab', 32), gen_random_uuid(), 1, 1)",
            "NoForeignWrites",
            "agent_health has 1 rows that no strand wrote",
            Some("delete from agent_health where agent_id = 'stranger'"),
        ),
    ] {
        supabase.sql(spoil);
        laptop.edit(
            "phase: DualWrite",
            "migration: {}\n  phase: MigrateInternals",
        );
        laptop.is_blocked_by(gate, evidence).await;
        laptop.obeys(1).await;
        match mend {
            Some(mend) => drop(supabase.sql(mend)),
            None => drop(laptop.sidecar.post("/v1/boboyka/mirror/repair", "").await),
        }
        laptop.sidecar.post("/v1/boboyka/mirror/check", "").await;
        laptop.obeys(2).await;
        laptop.edit(
            "migration: {}\n  phase: MigrateInternals",
            "phase: DualWrite",
        );
        laptop.obeys(1).await;
        // What was mended is in Supabase, and the records of the steps.
        let settled = || async { supabase.sql("select count(*) from agent_health") == "5" };
        wait_until(GUARD, settled, || laptop.told()).await;
    }
}
