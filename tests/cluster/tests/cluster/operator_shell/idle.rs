//! An operator of a cluster where nothing happens does nothing, whether it leads or not.

use std::time::Duration;

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaStrand, names};
use boboyka_tests::Rest;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde_json::json;

use super::{Installed, LIMIT, Replica};
use crate::shared::run;

/// The leader looks at an integration every 15 seconds; a Lease is renewed or read, certificates are looked at. A loop
/// that turns without waiting takes 1600 ticks.
const REST: Rest = Rest {
    window: Duration::from_secs(16),
    ticks: 16,
    wakes: 200,
};

async fn rests(replica: &Replica) {
    let told = || format!("{}\n{}", replica.name, replica.log());
    REST.comes(replica.pid(), LIMIT, told).await;
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
