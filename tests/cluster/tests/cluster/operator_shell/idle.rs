//! An operator of a cluster where nothing happens does nothing, whether it leads or not.

use std::time::{Duration, Instant};

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaStrand, names};
use boboyka_tests::process::taken;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::json;

use super::{Installed, LIMIT, Replica};
use crate::shared::run;

/// How long a replica is watched: the leader looks at an integration every 15 seconds.
const WINDOW: Duration = Duration::from_secs(16);
/// Ticks of a hundredth of a second in the window. A loop that turns without waiting takes 1600.
const TICKS_MAX: u64 = 16;
/// Times in the window that a thread may begin to wait anew: a Lease is renewed or read, certificates are looked at.
const WAKES_MAX: u64 = 200;

/// A replica comes to rest, however long a slow machine needs for what was asked before.
async fn rests(replica: &Replica) {
    let begun = Instant::now();
    loop {
        let before = taken(replica.pid());
        tokio::time::sleep(WINDOW).await;
        let after = taken(replica.pid());
        let (ticks, wakes) = (after.0 - before.0, after.1 - before.1);
        if ticks <= TICKS_MAX && wakes <= WAKES_MAX {
            return;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{}: still {ticks} ticks and {wakes} wakes in {WINDOW:?}: {}",
            replica.name,
            replica.log()
        );
    }
}

#[test]
fn an_idle_operator_rests() {
    run(async {
        let installed = Installed::new().await;
        let leader = installed.replica("leader", &[]);
        leader.leads_within(LIMIT).await;
        let second = installed.replica("second", &[]);
        installed.call(&[&leader, &second]).await;
        installed.integrate().await;
        installed.admitted().await;
        let pod = json!({
            "metadata": {"name": "p", "labels": {names::INTEGRATION_LABEL: "boboyka"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        installed.namespace.create::<Pod>(pod).await.unwrap();
        let strands = installed.namespace.api::<BoboykaStrand>();
        wait_for("the pod's strand", LIMIT, || async {
            let found = strands.list(&ListParams::default()).await?;
            Ok(!found.items.is_empty())
        })
        .await
        .unwrap();
        tokio::join!(rests(&leader), rests(&second));
    });
}
