//! Draining: what a strand still holds for Supabase is mirrored before the process ends.

use std::process::Command;
use std::time::Duration;

use boboyka_crds::Phase;
use boboyka_tests::process::{Process, free_address};
use boboyka_tests::{Fault, Supabase, sidecar};
use serde_json::json;

use crate::stage::{LIMIT, OBEYED, POD_UID, Stage, health, mirrored, obeys, run};

#[test]
fn a_drain_mirrors_what_is_left_reports_it_and_ends() {
    run(async {
        let (stage, mut supabase) = (Stage::new(mirrored()).await, Supabase::start().await);
        stage.hold(POD_UID).await;
        stage.put_in_force(Phase::DualWrite, 1).await;
        let folder = supabase.folder();
        let mut sidecar = stage
            .sidecar(&["--supabase-dir", folder.to_str().unwrap()])
            .await;
        stage.reported(&sidecar, obeys(Phase::DualWrite, 1)).await;
        supabase.stop_postgres();
        for n in 0..5 {
            sidecar.ingest("agent_health", &health(n)).await;
        }
        assert!(sidecar.terminate());
        assert_eq!(stage.report().await["backlog"], 5);

        supabase.start_postgres();
        supabase.fail_next((0..8).map(|_| Fault::Slow(OBEYED)));
        let mut command = Command::new(sidecar::binary());
        command
            .arg("drain")
            .arg("--data-dir")
            .arg(sidecar.data_dir())
            .arg("--supabase-dir")
            .arg(folder);
        command.args(["--observe", &free_address().to_string()]);
        command.envs(stage.environment());
        let log = sidecar.data_dir().with_file_name("drain.log");
        let mut drain = Process::start(&mut command, &log);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(
            !drain.has_ended(),
            "it ended with a backlog:\n{}",
            drain.log()
        );
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
        stage.put_in_force(Phase::DualWrite, 1).await;
        let folder = supabase.folder();
        let mut sidecar = stage
            .sidecar(&["--supabase-dir", folder.to_str().unwrap()])
            .await;
        supabase.fail_next((0..500).map(|_| Fault::Status(503, "", None)));
        sidecar.ingest("agent_health", &health(0)).await;
        assert!(sidecar.terminate());
        let mut command = Command::new(sidecar::binary());
        command
            .arg("drain")
            .arg("--data-dir")
            .arg(sidecar.data_dir())
            .arg("--supabase-dir")
            .arg(folder);
        command.args(["--observe", &free_address().to_string()]);
        command.envs(stage.environment());
        let mut drain = Process::start(
            &mut command,
            &sidecar.data_dir().with_file_name("drain.log"),
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        drain.signal("TERM");
        assert!(
            !drain.wait(LIMIT),
            "it ended as if it were done:\n{}",
            drain.log()
        );
    });
}
