//! A large fleet as the operator sees it: pods and strands as objects, no nodes, and reports at the pace that it asks for.
//!
//! One operator watches the fleet grow: an empty cluster first, then a tenth of the fleet, then all of it. At the end
//! another one starts and finds all of it there.

mod objects;
mod reports;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use boboyka_cluster::{TestNamespace, wait_for};
use boboyka_crds::{BoboykaIntegration, names};
use serde_json::{Value, json};

use crate::admission::{as_sent, print_reviews};
use crate::calls::Calls;
use crate::echo::Echo;
use crate::figure::{Figure, heading};
use crate::operator::Operator;
use crate::stage::{LIMIT, NAME, Stage, dry_run, pod};
use objects::Fleet;
use reports::Reports;

/// Integrations, each in a namespace of its own.
const INTEGRATIONS: usize = 20;
/// One round.
const WINDOW: Duration = Duration::from_secs(10);
/// How long the operator is called at the end, a round.
const CALLED: Duration = Duration::from_secs(4);
/// Writes a second that count as quiet.
const QUIET: f64 = 2.0;

/// Measures and prints.
pub(crate) async fn measure(rounds: usize) {
    let stage = Stage::start().await;
    let operator = Operator::start(&stage).await;
    heading(&format!(
        "fleet: {INTEGRATIONS} integrations; medians of {rounds} windows of {} s (aims: 40 MiB, 20 status writes/s of sidecars)",
        WINDOW.as_secs()
    ));
    observe(&operator, None, "an empty cluster", rounds.div_ceil(2)).await;
    let sample = sample(&stage).await;
    let mut fleet = Fleet::default();
    for _ in 0..INTEGRATIONS {
        fleet.namespaces.push(stage.namespace(json!({})).await);
    }
    for (pods, strands) in [(50, 10), (500, 100)] {
        let begun = Instant::now();
        fleet.grow(&sample, pods, strands).await;
        let made = begun.elapsed();
        settle(&operator, &fleet).await;
        let name = format!(
            "{} pods, {} strands",
            INTEGRATIONS * pods,
            INTEGRATIONS * strands
        );
        println!(
            "  {name}: made in {:.0} s, settled after {:.0} s",
            made.as_secs_f64(),
            begun.elapsed().as_secs_f64()
        );
        let interval = interval(&fleet.namespaces[0]).await;
        let reports = Reports::start(&fleet, interval);
        observe(&operator, Some(&reports), &name, rounds).await;
        println!("      a sidecar reports every {} s", interval.as_secs());
        if pods == 500 {
            admission(&stage, &fleet.namespaces[0], rounds.div_ceil(2)).await;
        }
    }
    drop(operator);
    let begun = Instant::now();
    let operator = Operator::start(&stage).await;
    let memory = operator.memory();
    println!(
        "  started anew beside all of it: leads and is ready after {:.1} s with {:.1} MiB, {:.1} MiB at the most",
        begun.elapsed().as_secs_f64(),
        memory.now,
        memory.peak
    );
}

/// A pod with its sidecar, as the operator makes it.
async fn sample(stage: &Stage) -> Value {
    let namespace = stage.namespace(json!({})).await;
    stage.call_for(&namespace).await;
    let injected = dry_run(&namespace, &pod(true)).await.unwrap();
    serde_json::to_value(injected).unwrap()
}

/// Waits until the operator has seen to what came, and has told of it.
async fn settle(operator: &Operator, fleet: &Fleet) {
    let strands = fleet.held.len() / INTEGRATIONS;
    for namespace in &fleet.namespaces {
        let seen = || async {
            let found = namespace.api::<BoboykaIntegration>().get(NAME).await?;
            let status = found.status.unwrap_or_default();
            Ok(usize::try_from(status.strands.ready)? == strands)
        };
        wait_for("the operator to see every strand", LIMIT, seen)
            .await
            .unwrap();
    }
    let begun = Instant::now();
    loop {
        let before = operator.writes().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let rate: f64 = difference(&before, &operator.writes().await)
            .values()
            .sum::<f64>()
            / 2.0;
        if rate < QUIET {
            return;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "the operator still writes {rate} times a second"
        );
    }
}

async fn interval(namespace: &TestNamespace) -> Duration {
    let found = namespace
        .api::<BoboykaIntegration>()
        .get(NAME)
        .await
        .unwrap();
    let seconds = found.status.unwrap().report_interval_seconds.unwrap();
    Duration::from_secs(u64::try_from(seconds).unwrap())
}

/// Watches the operator for some windows.
async fn observe(operator: &Operator, reports: Option<&Reports>, name: &str, windows: usize) {
    let (mut cpu, mut held, mut reported) = (Vec::new(), Vec::new(), Vec::new());
    let (begun, before) = (Instant::now(), operator.writes().await);
    for _ in 0..windows {
        let (at, cpu_before) = (Instant::now(), operator.cpu_seconds());
        let sent = reports.map_or(0, Reports::sent);
        tokio::time::sleep(WINDOW).await;
        let seconds = at.elapsed().as_secs_f64();
        cpu.push((operator.cpu_seconds() - cpu_before) / seconds * 1000.0);
        reported.push((reports.map_or(0, Reports::sent) - sent) as f64 / seconds);
        held.push(operator.memory().now);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let writes = difference(&before, &operator.writes().await);
    println!(
        "  {name}: RSS {:.1} MiB, at the most {:.1} MiB; CPU {:.1} ms/s; status writes of sidecars {:.1}/s",
        Figure::of(held),
        operator.memory().peak,
        Figure::of(cpu),
        Figure::of(reported)
    );
    let told = writes.iter().filter(|(_, count)| **count > 0.0);
    let told: Vec<String> = told
        .map(|(of, count)| format!("{of} {:.2}/s", count / seconds))
        .collect();
    println!("      its own writes: {}", told.join(", "));
}

fn difference(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
) -> BTreeMap<String, f64> {
    let added = |of: &String, count: &f64| count - before.get(of).copied().unwrap_or_default();
    after
        .iter()
        .map(|(of, count)| (of.clone(), added(of, count)))
        .collect()
}

/// Reviews beside the whole fleet, its reports going on.
async fn admission(stage: &Stage, namespace: &TestNamespace, rounds: usize) {
    let pod = as_sent(namespace).await;
    assert!(
        pod["metadata"]["annotations"]
            .get(names::STRAND_ANNOTATION)
            .is_none()
    );
    let echo = Echo::start(&stage.cluster).await;
    let echoed = Calls::new(
        echo.address,
        "/inject",
        echo.authority.as_bytes(),
        namespace.name(),
        &pod,
        false,
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        theirs.push(echoed.run(CALLED).await);
        ours.push(stage.reviews(namespace, &pod).await.run(CALLED).await);
    }
    println!(
        "  admission meanwhile, {rounds} rounds of {} s:",
        CALLED.as_secs()
    );
    print_reviews(&ours, &theirs);
}
