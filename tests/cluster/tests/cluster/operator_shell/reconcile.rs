//! What the leader makes of what others do: selectors that overlap or can't be read, claims and strands that go.

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, labelled};
use crate::shared::run;

/// Waits until a condition of an integration is this, as `STATUS/REASON`, for its present generation; its message.
pub(super) async fn condition(
    installed: &Installed,
    integration: &str,
    kind: &str,
    wanted: &str,
) -> String {
    let api = installed.namespace.api::<BoboykaIntegration>();
    let message = std::sync::Mutex::new(String::new());
    wait_for(
        &format!("{kind} of {integration} to be {wanted}"),
        LIMIT,
        || async {
            let found = api.get(integration).await?;
            let generation = found.metadata.generation;
            let conditions = found
                .status
                .into_iter()
                .flat_map(|status| status.conditions);
            let mut ours =
                conditions.filter(|one| one.type_ == kind && one.observed_generation == generation);
            let Some(one) = ours.next() else {
                return Ok(false);
            };
            let is = format!("{}/{}", one.status, one.reason) == wanted;
            *message.lock().unwrap() = one.message;
            Ok(is)
        },
    )
    .await
    .unwrap();
    message.into_inner().unwrap()
}

async fn edit(installed: &Installed, integration: &str, spec: Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    let api = installed.namespace.api::<BoboykaIntegration>();
    api.patch(integration, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[test]
fn of_two_integrations_that_select_one_workload_the_older_keeps_it() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operator(&[]).await;
        let deployment = json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }});
        installed
            .namespace
            .create::<Deployment>(deployment)
            .await
            .unwrap();
        let selector = json!({"workloadSelector": {"matchLabels": {"team": "a"}}});
        // The younger is the first by name, so that age decides and not the name.
        for name in ["older", "a-younger"] {
            let integration = json!({"metadata": {"name": name}, "spec": selector});
            installed
                .namespace
                .create::<BoboykaIntegration>(integration)
                .await
                .unwrap();
            let wanted = if name == "older" {
                "True/AsExpected"
            } else {
                "False/Overlap"
            };
            condition(&installed, name, "WorkloadsSelected", wanted).await;
            // Ages are whole seconds.
            let api = installed.namespace.api::<BoboykaIntegration>();
            let made = api
                .get(name)
                .await
                .unwrap()
                .metadata
                .creation_timestamp
                .unwrap()
                .0;
            wait_for("the next second", LIMIT, || async {
                Ok(k8s_openapi::jiff::Timestamp::now().as_second() > made.as_second())
            })
            .await
            .unwrap();
        }
        let deployments = installed.namespace.api::<Deployment>();
        let before = deployments.get("web").await.unwrap();
        let label = |one: &Deployment| {
            let template = one.spec.clone().unwrap().template.metadata.unwrap();
            template.labels.unwrap().remove(names::INTEGRATION_LABEL)
        };
        assert_eq!(label(&before).as_deref(), Some("older"));
        for round in 0..6 {
            for (name, wanted) in [("older", "True/AsExpected"), ("a-younger", "False/Overlap")] {
                let max_age = format!("{}h", 100 + round);
                // Suspended at the end, it keeps the workload too.
                let suspend = name == "older" && round == 5;
                let change = json!({"retention": {"maxAge": max_age}, "suspend": suspend});
                edit(&installed, name, change).await;
                condition(&installed, name, "WorkloadsSelected", wanted).await;
            }
        }
        let after = deployments.get("web").await.unwrap();
        assert_eq!(after.metadata.generation, before.metadata.generation);
    });
}

#[test]
fn a_claim_whose_volume_is_gone_is_a_condition() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(&[]).await;
        let pod = installed.namespace.create::<Pod>(labelled()).await.unwrap();
        let claim = names::claim_of(&pod.annotations()[names::STRAND_ANNOTATION]);
        let claims = installed.namespace.api::<PersistentVolumeClaim>();
        wait_for("the claim", LIMIT, || async {
            Ok(claims.get_opt(&claim).await?.is_some())
        })
        .await
        .unwrap();
        // As the controller of volumes leaves a claim whose volume was deleted.
        let bound = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
            "spec": {"volumeName": "gone"}});
        let lost = json!({"status": {"phase": "Lost"}});
        let how = PatchParams::default();
        claims
            .patch(&claim, &how, &Patch::Merge(bound))
            .await
            .unwrap();
        claims
            .patch_status(&claim, &how, &Patch::Merge(lost))
            .await
            .unwrap();
        let said = condition(&installed, "boboyka", "ChainIntact", "False/VolumeLost").await;
        assert!(said.contains(&claim), "{said}");
    });
}

#[test]
fn a_claim_that_was_deleted_is_told_and_not_replaced_by_an_empty_one() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(&[]).await;
        let first = installed.namespace.create::<Pod>(labelled()).await.unwrap();
        wait_for("the claim to be recorded", LIMIT, || async {
            Ok(installed.strand().await.spec.claim_uid.is_some())
        })
        .await
        .unwrap();
        let strand = installed.strand().await;
        installed.end(&first.name_any()).await;
        let claims = installed.namespace.api::<PersistentVolumeClaim>();
        let claim = strand.spec.claim_name.clone().unwrap();
        claims
            .delete(&claim, &DeleteParams::default())
            .await
            .unwrap();
        let said = condition(&installed, "boboyka", "ChainIntact", "False/ClaimLost").await;
        assert!(said.contains(&claim), "{said}");
        // Neither comes it again, nor gets a pod its strand.
        let second = installed.namespace.create::<Pod>(labelled()).await.unwrap();
        assert_ne!(
            second.annotations()[names::STRAND_ANNOTATION],
            strand.name_any()
        );
        wait_for("the second pod's strand", LIMIT, || async {
            Ok(installed.strands().await.len() == 2)
        })
        .await
        .unwrap();
        assert!(claims.get_opt(&claim).await.unwrap().is_none());
        // Who deletes the strand accepts the loss.
        let strands = installed.namespace.api::<BoboykaStrand>();
        strands
            .delete(&strand.name_any(), &DeleteParams::default())
            .await
            .unwrap();
        condition(&installed, "boboyka", "ChainIntact", "True/AsExpected").await;
    });
}
