//! Strands that somebody keeps from pods: what waits, what goes on, and what comes back.

use boboyka_cluster::wait_for;
use boboyka_crds::BoboykaStrand;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, holder_of, labelled};
use super::reconcile::condition;
use crate::shared::run;

async fn fence(installed: &Installed, strand: &str, fence: Value) {
    let change = Patch::Merge(json!({"spec": {"fenced": fence}}));
    let strands = installed.namespace.api::<BoboykaStrand>();
    let how = PatchParams::default();
    strands.patch(strand, &how, &change).await.unwrap();
}

/// Waits until an Event of this reason has these words.
async fn told(installed: &Installed, reason: &str, words: &str) {
    let events = installed.namespace.api::<Event>();
    wait_for(&format!("{reason}: {words}"), LIMIT, || async {
        let found = events.list(&ListParams::default()).await?;
        let mut found = found.items.into_iter();
        Ok(found.any(|event| {
            let note = event.note.unwrap_or_default();
            event.reason.as_deref() == Some(reason) && note.contains(words)
        }))
    })
    .await
    .unwrap();
}

#[test]
fn the_pod_of_an_ordinal_waits_for_its_fenced_strand_and_comes_once_the_fence_is_lifted() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(&[]).await;
        condition(&installed, "boboyka", "StrandsUnfenced", "True/AsExpected").await;
        installed.stateful_set().await;
        let pods = installed.namespace.api::<Pod>();
        let held = || async {
            let pod = pods.get_opt("db-0").await?;
            let strands = installed.strands().await;
            let holder = strands.first().and_then(holder_of).map(str::to_owned);
            Ok(holder.is_some() && holder == pod.and_then(|pod| pod.uid()))
        };
        wait_for("db-0 to hold its strand", LIMIT, held)
            .await
            .unwrap();
        let name = installed.strand().await.name_any();

        fence(&installed, &name, json!({"reason": "the disk is suspect"})).await;
        let wanted = "False/StillHeld";
        let message = condition(&installed, "boboyka", "StrandsUnfenced", wanted).await;
        let fenced = format!("{name}: fenced (the disk is suspect)");
        assert_eq!(message, format!("{fenced}; still held by pod db-0"));
        told(&installed, "StillHeld", "still held by pod db-0").await;
        condition(&installed, "boboyka", "Ready", "False/SidecarsNotReady").await;

        // Its pod ends, and the next one is refused.
        installed.end("db-0").await;
        told(&installed, "Fenced", "no pod holds it, and none gets it").await;
        let refusal = format!(
            "strand {name} is fenced (the disk is suspect), and no other has the records of this ordinal: the pod waits \
             until somebody runs kubectl boboyka unfence {name} -n {}",
            installed.namespace.name()
        );
        told(&installed, "FailedCreate", &refusal).await;
        assert!(pods.get_opt("db-0").await.unwrap().is_none());
        assert_eq!(holder_of(&installed.strand().await), None);

        fence(&installed, &name, Value::Null).await;
        wait_for("db-0 to hold its strand again", LIMIT, held)
            .await
            .unwrap();
        condition(&installed, "boboyka", "StrandsUnfenced", "True/AsExpected").await;
        told(&installed, "StrandsUnfencedAgain", "no strand is fenced").await;
        assert_eq!(installed.strands().await.len(), 1);
    });
}

#[test]
fn a_pod_that_any_strand_will_do_for_gets_another_one_than_the_fenced_and_that_one_later() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(&[]).await;
        let strand_of = async |pod: &str| {
            wait_for("the pod to hold a strand", LIMIT, || async {
                let pods = installed.namespace.api::<Pod>();
                let uid = pods.get(pod).await?.uid();
                let strands = installed.strands().await;
                Ok(strands.iter().any(|one| holder_of(one) == uid.as_deref()))
            })
            .await
            .unwrap();
            let strands = installed.strands().await.into_iter();
            let mut held = strands.filter(|one| {
                let holder = one.spec.holder.as_ref();
                holder.is_some_and(|holder| holder.pod_name.as_deref() == Some(pod))
            });
            held.next().unwrap().name_any()
        };
        let create = async || {
            let pod = installed.namespace.create::<Pod>(labelled()).await.unwrap();
            pod.name_any()
        };
        let free = async |strand: &str| {
            let strands = installed.namespace.api::<BoboykaStrand>();
            wait_for("the strand to be free", LIMIT, || async {
                Ok(strands.get(strand).await?.spec.holder.is_none())
            })
            .await
            .unwrap();
        };
        let first = create().await;
        let fenced = strand_of(&first).await;
        fence(&installed, &fenced, json!({"reason": "r"})).await;
        condition(&installed, "boboyka", "StrandsUnfenced", "False/StillHeld").await;
        installed.end(&first).await;
        free(&fenced).await;

        let second = create().await;
        let other = strand_of(&second).await;
        assert_ne!(other, fenced);
        fence(&installed, &fenced, Value::Null).await;
        condition(&installed, "boboyka", "StrandsUnfenced", "True/AsExpected").await;
        let third = create().await;
        assert_eq!(strand_of(&third).await, fenced);
        assert_eq!(installed.strands().await.len(), 2);
    });
}
