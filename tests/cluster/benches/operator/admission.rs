//! Reviews of labelled pods: straight to the operator beside an echo behind the same server, and through the API server
//! beside pods without the label.

use std::time::{Duration, Instant};

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_crds::BoboykaStrand;
use boboyka_crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::calls::{Calls, RATE, Times};
use crate::echo::Echo;
use crate::figure::{Figure, heading, quantile};
use crate::operator::Operator;
use crate::stage::{LIMIT, NAME, Stage, dry_run, pod};

/// How long each server is called in a round.
const MEASURE: Duration = Duration::from_secs(5);
/// Pods of the integration that hold a strand meanwhile.
const HELD: usize = 50;
/// Pairs of pods in a round.
const PAIRS: usize = 100;

/// Measures and prints.
pub(crate) async fn measure(rounds: usize) {
    let stage = Stage::start().await;
    let operator = Operator::start(&stage).await;
    let namespace = stage.namespace(json!({})).await;
    stage.call_for(&namespace).await;
    hold(&namespace).await;
    let pod = as_sent(&namespace).await;
    let echo = Echo::start(&stage.cluster).await;
    let echoed = Calls::new(
        echo.address,
        "/inject",
        echo.authority.as_bytes(),
        namespace.name(),
        &pod,
        false,
    );
    heading(&format!(
        "admission: {RATE} dry-run reviews a second, {} bytes of pod, an integration with {HELD} pods; {rounds} rounds of {} s",
        pod.to_string().len(),
        MEASURE.as_secs()
    ));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(echoed.run(MEASURE).await);
        ours.push(stage.reviews(&namespace, &pod).await.run(MEASURE).await);
        let (labelled, plain) = pairs(&namespace).await;
        with.push(labelled);
        without.push(plain);
    }
    print_reviews(&ours, &theirs);
    let (with, without) = (Figure::of(with), Figure::of(without));
    println!(
        "  POST pods?dryRun=All, one after another: labelled {with:.2} ms  unlabelled {without:.2} ms"
    );
    println!(
        "      labelled ÷ unlabelled {:.2}   {:.2} ms more",
        with.median / without.median,
        with.median - without.median
    );
    println!("  the operator holds {:.1} MiB", operator.memory().now);
}

/// Prints what was measured beside the echo.
pub(crate) fn print_reviews(ours: &[Times], echo: &[Times]) {
    for (name, aim, time) in [
        ("p50", "", (|times: &Times| times.p50) as fn(&Times) -> f64),
        ("p99", "   (aim: 5 ms)", |times| times.p99),
    ] {
        let ours = Figure::of(ours.iter().map(time).collect());
        let echo = Figure::of(echo.iter().map(time).collect());
        println!("  {name}: operator {ours:.2} ms  echo {echo:.2} ms{aim}");
        println!("      operator ÷ echo {:.2}", ours.median / echo.median);
    }
}

/// Creates pods that hold strands, and waits until the operator has bound them.
async fn hold(namespace: &TestNamespace) {
    for _ in 0..HELD {
        namespace.create::<Pod>(pod(true)).await.unwrap();
    }
    let bound = || async {
        let strands = namespace
            .api::<BoboykaStrand>()
            .list(&ListParams::default())
            .await?;
        let bound = strands.items.iter().filter(|strand| {
            strand
                .spec
                .holder
                .as_ref()
                .is_some_and(|holder| holder.pod_uid.is_some())
        });
        Ok(bound.count() == HELD)
    };
    wait_for("the pods to hold strands", LIMIT, bound)
        .await
        .unwrap();
}

/// A labelled pod of a Deployment as the API server sends it: with everything that it fills in.
pub(crate) async fn as_sent(namespace: &TestNamespace) -> Value {
    let mut sent = serde_json::to_value(dry_run(namespace, &pod(false)).await.unwrap()).unwrap();
    sent["metadata"]["labels"][names::INTEGRATION_LABEL] = NAME.into();
    sent["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "agent-5d9c7b6f4d", "controller": true,
        "blockOwnerDeletion": true, "uid": "6f0e9d7c-8a0b-4a7e-9a53-0e3c5f1a2b3c",
    }]);
    sent
}

/// Medians of pods with and without the label, created in turn, in milliseconds.
async fn pairs(namespace: &TestNamespace) -> (f64, f64) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..PAIRS {
        for (times, labelled) in times.iter_mut().zip([true, false]) {
            let pod = pod(labelled);
            let begun = Instant::now();
            assert!(
                dry_run(namespace, &pod).await.is_some(),
                "a pod was refused"
            );
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let [labelled, plain] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        quantile(&times, 0.5)
    });
    (labelled, plain)
}
