//! The objects that an operator of the version before made, taken over by the one of today. What runs in pods then,
//! `make upgrade` shows on real nodes.

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, holder_of, labelled};
use crate::shared::run;

/// An object as the version before made it.
fn made(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

/// The API server takes no status with a new object.
async fn with_status<K>(installed: &Installed, object: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    let status = Patch::Merge(json!({"status": object["status"]}));
    let created: K = installed.namespace.create(object).await.unwrap();
    let api = installed.namespace.api::<K>();
    let how = PatchParams::default();
    api.patch_status(created.meta().name.as_ref().unwrap(), &how, &status)
        .await
        .unwrap()
}

/// Makes all of it; the pod.
async fn left_by_the_version_before(installed: &Installed) -> Pod {
    let integration = made(include_str!("fixtures/before/integration.yaml"));
    with_status::<BoboykaIntegration>(installed, integration).await;
    let claim = made(include_str!("fixtures/before/claim.yaml"));
    let claims = installed.namespace.create::<PersistentVolumeClaim>(claim);
    claims.await.unwrap();
    let pod = made(include_str!("fixtures/before/pod.yaml"));
    let pod: Pod = installed.namespace.create(pod).await.unwrap();
    let mut strand = made(include_str!("fixtures/before/strand.yaml"));
    strand["spec"]["holder"]["podUid"] = json!(pod.uid());
    strand["status"]["podUid"] = json!(pod.uid());
    with_status::<BoboykaStrand>(installed, strand).await;
    pod
}

fn image_of_sidecar(pod: &Pod) -> Option<String> {
    let containers = pod.spec.as_ref()?.init_containers.as_ref()?;
    let mut sidecars = containers.iter().filter(|one| one.name == names::CONTAINER);
    sidecars.next()?.image.clone()
}

#[test]
fn what_the_version_before_made_is_taken_over_with_its_strand_its_claim_and_its_pod() {
    run(async {
        let installed = Installed::new().await;
        let pod = left_by_the_version_before(&installed).await;
        let before = installed.strand().await;
        let claims = installed.namespace.api::<PersistentVolumeClaim>();
        let claim = claims.list(&ListParams::default()).await.unwrap();
        let claim = claim.items[0].clone();

        let _replica = installed.operator(&[]).await;
        wait_for("the claim to be recorded", LIMIT, || async {
            Ok(installed.strand().await.spec.claim_uid == claim.uid())
        })
        .await
        .unwrap();
        let pods = installed.namespace.api::<Pod>();
        wait_for("the pod's sidecar to get its new image", LIMIT, || async {
            let image = image_of_sidecar(&pods.get(&pod.name_any()).await?);
            Ok(image.as_deref() == Some("localhost/boboyka-sidecar:test"))
        })
        .await
        .unwrap();
        let held = installed.strand().await;
        assert_eq!(holder_of(&held), pod.uid().as_deref());
        assert_eq!(held.status, before.status, "the sidecar's word stays");

        // Its sidecar mirrors what was left, so that no Job comes before the next pod.
        let strands = installed.namespace.api::<BoboykaStrand>();
        let mut lanes = json!(held.status.as_ref().unwrap().lanes);
        lanes[0]["mark"] = json!(124);
        lanes[0]["backlog"] = json!(0);
        let mirrored = Patch::Merge(json!({"status": {"backlog": 0, "lagMs": 0, "lanes": lanes}}));
        let how = PatchParams::default();
        strands
            .patch_status(&held.name_any(), &how, &mirrored)
            .await
            .unwrap();
        wait_for("the operator to know that", LIMIT, || async {
            let integrations = installed.namespace.api::<BoboykaIntegration>();
            let all = integrations.list(&ListParams::default()).await?.items;
            Ok(all[0].status.as_ref().is_some_and(|it| it.backlog == 0))
        })
        .await
        .unwrap();

        // A pod that comes after it gets the strand with the claim.
        installed.end(&pod.name_any()).await;
        wait_for("the strand to be free", LIMIT, || async {
            Ok(holder_of(&installed.strand().await).is_none())
        })
        .await
        .unwrap();
        let next = installed.namespace.create::<Pod>(labelled()).await.unwrap();
        wait_for("the next pod to hold it", LIMIT, || async {
            let strand = installed.strand().await;
            Ok(holder_of(&strand) == next.uid().as_deref())
        })
        .await
        .unwrap();
        let after = installed.strands().await;
        assert_eq!(after.len(), 1, "{after:#?}");
        assert_eq!(after[0].uid(), before.uid());
        assert_eq!(after[0].spec.claim_name, before.spec.claim_name);
        let kept = claims.get(&claim.name_any()).await.unwrap();
        assert_eq!(kept.uid(), claim.uid());
    });
}
