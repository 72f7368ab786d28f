//! Draining: what a strand still holds for Supabase is mirrored before the process ends.

use std::process::Command;

use boboyka_crds::Phase;
use boboyka_tests::process::{Process, free_address, wait_until};
use boboyka_tests::{Fault, Sidecar, Supabase, sidecar};
use serde_json::{Value, json};

use crate::stage::{LIMIT, POD_UID, Stage, health, mirrored, obeys, run};

/// A sidecar that mirrors to a Supabase.
async fn mirroring(stage: &Stage, supabase: &Supabase) -> Sidecar {
    stage.put_in_force(Phase::DualWrite, 1).await;
    let folder = supabase.folder();
    let arguments = ["--supabase-dir", folder.to_str().unwrap()];
    stage.sidecar(&arguments).await
}

/// The drain of a sidecar's strand, as its Job would run it.
fn drain(stage: &Stage, of: &Sidecar, supabase: Option<&Supabase>) -> Process {
    let mut command = Command::new(sidecar::binary());
    command.arg("drain").arg("--data-dir").arg(of.data_dir());
    command.args(["--observe", &free_address().to_string()]);
    if let Some(supabase) = supabase {
        command.arg("--supabase-dir").arg(supabase.folder());
    }
    command.envs(stage.environment());
    Process::start(&mut command, &of.data_dir().with_file_name("drain.log"))
}

/// A drain that has begun to ask Supabase.
async fn asking_drain(stage: &Stage, of: &Sidecar, supabase: &Supabase) -> Process {
    let before = supabase.requests();
    let drain = drain(stage, of, Some(supabase));
    let asks = || async { supabase.requests() > before };
    wait_until(LIMIT, asks, || drain.log()).await;
    drain
}

#[test]
fn a_drain_mirrors_what_is_left_reports_it_and_ends() {
    run(async {
        let (stage, mut supabase) = (Stage::new(mirrored()).await, Supabase::start().await);
        stage.hold(POD_UID).await;
        let mut sidecar = mirroring(&stage, &supabase).await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;
        supabase.stop_postgres();
        for n in 0..5 {
            sidecar.ingest("agent_health", &health(n)).await;
        }
        assert!(sidecar.terminate());
        assert_eq!(stage.report().await["backlog"], 5);

        supabase.start_postgres();
        supabase.hold();
        let mut drain = asking_drain(&stage, &sidecar, &supabase).await;
        assert!(
            !drain.has_ended(),
            "it ended with a backlog:\n{}",
            drain.log()
        );
        supabase.release();
        assert!(drain.wait(LIMIT), "{}", drain.log());
        assert_eq!(supabase.rows("agent_health").len(), 5);
        let report = stage.report().await;
        assert_eq!(
            (&report["backlog"], &report["ready"]),
            (&json!(0), &json!(false)),
            "{report}"
        );
    });
}

#[test]
fn a_signal_during_a_drain_ends_it_as_unfinished() {
    run(async {
        let (stage, supabase) = (Stage::new(mirrored()).await, Supabase::start().await);
        let mut sidecar = mirroring(&stage, &supabase).await;
        supabase.fail_next((0..500).map(|_| Fault::Status(503, "", None)));
        sidecar.ingest("agent_health", &health(0)).await;
        assert!(sidecar.terminate());
        let mut drain = asking_drain(&stage, &sidecar, &supabase).await;
        drain.signal("TERM");
        assert!(
            !drain.wait(LIMIT),
            "it ended as if it were done:\n{}",
            drain.log()
        );
    });
}

#[test]
fn a_drain_ends_as_unfinished_when_its_pod_no_longer_holds_the_strand() {
    run(async {
        let (stage, supabase) = (Stage::new(mirrored()).await, Supabase::start().await);
        let mut sidecar = mirroring(&stage, &supabase).await;
        supabase.hold();
        sidecar.ingest("agent_health", &health(0)).await;
        assert!(sidecar.terminate());
        // An earlier pod of the Job is still named when it begins.
        stage.hold("earlier").await;
        let mut drain = asking_drain(&stage, &sidecar, &supabase).await;
        stage.hold(POD_UID).await;
        let holds = || async { stage.report().await["podUid"] == POD_UID };
        wait_until(LIMIT, holds, || drain.log()).await;
        assert!(!drain.has_ended(), "{}", drain.log());
        stage.hold("another").await;
        assert!(
            !drain.wait(LIMIT),
            "it ended as if it were done:\n{}",
            drain.log()
        );
        let log = drain.log();
        assert!(log.contains("no longer holds the strand"), "{log}");
    });
}

#[test]
fn a_drain_mirrors_what_the_phase_in_force_wants_mirrored_and_no_more() {
    run(async {
        let (stage, supabase) = (Stage::new(mirrored()).await, Supabase::start().await);
        stage.hold(POD_UID).await;
        let mut sidecar = mirroring(&stage, &supabase).await;
        sidecar.ingest("agent_health", &health(0)).await;
        let settled = |report: &Value| report["records"] == 1 && report["backlog"] == 0;
        stage.reported(&sidecar, settled).await;
        stage.put_in_force(Phase::MigrateInternals, 2).await;
        stage
            .reported(&sidecar, obeys(Phase::MigrateInternals, 2))
            .await;
        sidecar.ingest("agent_health", &health(1)).await;
        assert!(sidecar.terminate());

        // Not even credentials are needed for nothing.
        let mut nothing = drain(&stage, &sidecar, None);
        assert!(nothing.wait(LIMIT), "{}", nothing.log());
        assert_eq!(supabase.rows("agent_health").len(), 1);

        stage.put_in_force(Phase::DualWrite, 3).await;
        let mut rest = drain(&stage, &sidecar, Some(&supabase));
        assert!(rest.wait(LIMIT), "{}", rest.log());
        assert_eq!(supabase.rows("agent_health").len(), 2);
        assert!(obeys(Phase::DualWrite, 3)(&stage.report().await));
    });
}
