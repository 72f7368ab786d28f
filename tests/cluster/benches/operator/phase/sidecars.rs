//! A hundred sidecars as processes of this machine, each with a strand, and a pod that holds it as an object.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use boboyka_cluster::TestNamespace;
use boboyka_crds::{BoboykaStrand, Phase, names};
use boboyka_tests::process::{Process, free_address, wait_until};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::operator::{get, release_binary};
use crate::stage::{LIMIT, NAME, Stage, pod};

/// How many there are.
pub(super) const SIDECARS: usize = 100;
/// Started side by side.
const SIDE_BY_SIDE: usize = 4;
/// How often logs are looked at; the time stands in the log.
const LOOK: Duration = Duration::from_millis(50);

/// One sidecar.
pub(super) struct Member {
    process: Process,
    listen: SocketAddr,
    _data: TempDir,
}

/// Starts all of them.
pub(super) async fn start(stage: &Stage, namespace: &TestNamespace) -> Vec<Member> {
    let starts = (0..SIDECARS).map(|number| member(stage, namespace, number));
    futures_util::stream::iter(starts)
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await
}

async fn member(stage: &Stage, namespace: &TestNamespace, number: usize) -> Member {
    let strand = format!("{NAME}-{number}");
    let token = format!("{number:08}-8a0b-4a7e-9a53-0e3c5f1a2b3c");
    let mut held = pod(true);
    held["metadata"]["annotations"] = json!({
        names::STRAND_ANNOTATION: strand, names::TOKEN_ANNOTATION: token,
        names::IMAGE_ANNOTATION: "localhost/boboyka-sidecar:bench",
    });
    let held: Pod = namespace.create(held).await.unwrap();
    // The operator, which sees the pod, may have been faster.
    let how = PatchParams::apply("bench").force();
    let resource = json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaStrand", "metadata": {"name": strand},
        "spec": {
            "integration": NAME, "claimName": names::claim_of(&strand),
            "holder": {"token": token, "podName": held.name_any(), "podUid": held.uid()},
        },
    });
    let strands = namespace.api::<BoboykaStrand>();
    strands
        .patch(&strand, &how, &Patch::Apply(resource))
        .await
        .unwrap();
    let (listen, observe) = (free_address(), free_address());
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(release_binary("boboyka-sidecar"));
    command
        .args([
            "--listen",
            &listen.to_string(),
            "--observe",
            &observe.to_string(),
            "--data-dir",
        ])
        .arg(data.path().join("strand"))
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .env(names::NAMESPACE_VARIABLE, namespace.name())
        .env(names::INTEGRATION_VARIABLE, NAME)
        .env(names::STRAND_VARIABLE, &strand)
        .env(names::POD_UID_VARIABLE, held.uid().unwrap());
    let process = Process::start(&mut command, &data.path().join("log"));
    wait_until(
        LIMIT,
        || async { get(observe, "/ready").await.is_some() },
        || format!("a sidecar is not ready:\n{}", process.log()),
    )
    .await;
    Member {
        process,
        listen,
        _data: data,
    }
}

/// Waits until every sidecar has begun the commit by which it obeys; the seconds since a moment at which each did.
pub(super) async fn obeyed(members: &[Member], phase: Phase, since: Timestamp) -> Vec<f64> {
    let begun = Instant::now();
    let mut times = vec![None; members.len()];
    while times.iter().any(Option::is_none) {
        for (time, member) in times
            .iter_mut()
            .zip(members)
            .filter(|(time, _)| time.is_none())
        {
            *time = changed_at(&member.process.log(), phase, since);
        }
        assert!(begun.elapsed() < LIMIT, "not every sidecar obeys");
        tokio::time::sleep(LOOK).await;
    }
    times.into_iter().flatten().collect()
}

/// When the log tells of the change, in seconds since a moment; none while it does not.
fn changed_at(log: &str, phase: Phase, since: Timestamp) -> Option<f64> {
    let told = log
        .lines()
        .rev()
        .find(|line| line.contains("the phase changes"))?;
    let told: Value = serde_json::from_str(told).ok()?;
    let at: Timestamp = told["timestamp"].as_str()?.parse().ok()?;
    let obeys = told["to"] == phase.as_str() && at > since;
    obeys.then(|| at.duration_since(since).as_secs_f64())
}

/// Asks every sidecar until it says that it obeys.
pub(super) async fn ask(members: &[Member], phase: Phase) {
    let words = match phase {
        Phase::DualWrite => "Phase 1",
        Phase::MigrateInternals => "Phase 2",
        Phase::CutOver => "Phase 3",
    };
    let asked = members.iter().map(|member| async move {
        let says = || async {
            let status = get(member.listen, "/v1/boboyka/status")
                .await
                .unwrap_or_default();
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            let shown = status["integration_phase"].as_str();
            shown.is_some_and(|shown| shown.starts_with(words))
        };
        wait_until(LIMIT, says, || {
            format!("a sidecar does not obey:\n{}", member.process.log())
        })
        .await;
    });
    futures_util::stream::iter(asked)
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
}
