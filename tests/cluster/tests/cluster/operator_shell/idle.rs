//! An operator of a cluster where nothing happens does nothing, whether it leads or not.

use std::time::Duration;

use boboyka_tests::Rest;
use k8s_openapi::api::core::v1::Pod;

use super::installed::{Installed, LIMIT, labelled};
use super::replica::Replica;
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
        let leader = installed.operated(&[]).await;
        installed.namespace.create::<Pod>(labelled()).await.unwrap();
        installed.strand().await;
        let second = installed.replica("second", &[]);
        installed.call(&[&leader, &second]).await;
        installed.admitted().await;
        tokio::join!(rests(&leader), rests(&second));
    });
}
