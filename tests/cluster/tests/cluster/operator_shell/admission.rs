//! What comes of a pod's admission: nothing before the pod exists, and nothing for a pod that is a forgery.

use boboyka_cluster::wait_for;
use boboyka_crds::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, holder_of, labelled};
use crate::shared::run;

/// Pods that never come lose their strand after this time.
const GRACE: &[&str] = &["--admission-grace=2s"];

async fn claims(installed: &Installed) -> usize {
    let api = installed.namespace.api::<PersistentVolumeClaim>();
    api.list(&ListParams::default()).await.unwrap().items.len()
}

/// Creates a pod; the API server's message if it refuses.
async fn create(installed: &Installed, pod: Value) -> Result<Pod, String> {
    let created = installed.namespace.create::<Pod>(pod).await;
    created.map_err(|error| format!("{error:#}"))
}

/// Leaves no room for a resource in the namespace; returns once the API server knows.
async fn fill(installed: &Installed, resource: &str) {
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {resource: "0"}}});
    let created = installed.namespace.create::<ResourceQuota>(quota);
    created.await.unwrap();
    let quotas = installed.namespace.api::<ResourceQuota>();
    wait_for("the quota to be known", LIMIT, || async {
        let status = quotas.get("none").await?.status;
        Ok(status.and_then(|status| status.hard).is_some())
    })
    .await
    .unwrap();
}

#[test]
fn a_pod_gets_strand_and_claim_once_it_exists_and_one_that_is_refused_leaves_nothing() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(GRACE).await;
        // The quota comes after the webhook.
        fill(&installed, "pods").await;
        for _ in 0..20 {
            let refused = create(&installed, labelled()).await.unwrap_err();
            assert!(refused.contains("quota"), "{refused}");
        }
        let quotas = installed.namespace.api::<ResourceQuota>();
        let how = DeleteParams::default();
        quotas.delete("none", &how).await.unwrap();
        wait_for("a pod without the quota", LIMIT, || async {
            Ok(create(&installed, labelled()).await.is_ok())
        })
        .await
        .unwrap();
        installed.strand().await;
        let strands = installed.strands().await;
        assert_eq!(
            (strands.len(), claims(&installed).await),
            (1, 1),
            "{strands:#?}"
        );
        let pods = installed.namespace.api::<Pod>();
        let pods = pods.list(&ListParams::default()).await.unwrap().items;
        assert_eq!(holder_of(&strands[0]), pods[0].uid().as_deref());
        // What a tenant reads there is not what the pod carries.
        let carried = &pods[0].annotations()[names::TOKEN_ANNOTATION];
        assert_ne!(&strands[0].spec.holder.as_ref().unwrap().token, carried);
    });
}

#[test]
fn a_quota_on_claims_leaves_no_strand_behind() {
    run(async {
        let installed = Installed::new().await;
        let replica = installed.operated(GRACE).await;
        fill(&installed, "persistentvolumeclaims").await;
        create(&installed, labelled()).await.unwrap();
        wait_for("the operator to try", LIMIT, || async {
            Ok(replica.log().contains("quota"))
        })
        .await
        .unwrap();
        assert!(installed.strands().await.is_empty());
    });
}

#[test]
fn a_free_strand_is_reserved_and_taken_back_when_the_pod_never_comes() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(GRACE).await;
        let first = create(&installed, labelled()).await.unwrap();
        installed.strand().await;
        installed.end(&first.name_any()).await;
        let free = || async { Ok(installed.strand().await.spec.holder.is_none()) };
        wait_for("it to be free", LIMIT, free).await.unwrap();
        let before = installed.strand().await.metadata.generation;
        // The API server refuses this pod only after its admission.
        let mut refused = labelled();
        refused["spec"]["containers"][0]["image"] = json!("");
        create(&installed, refused).await.unwrap_err();
        let reserved = installed.strand().await;
        assert!(reserved.metadata.generation > before, "{reserved:#?}");
        let holder = reserved.spec.holder;
        assert!(holder.is_none_or(|holder| holder.pod_uid.is_none()));
        wait_for("it to be free again", LIMIT, free).await.unwrap();
        let second = create(&installed, labelled()).await.unwrap();
        wait_for("its next pod to hold it", LIMIT, || async {
            let strands = installed.strands().await;
            Ok(strands.len() == 1 && holder_of(&strands[0]) == second.uid().as_deref())
        })
        .await
        .unwrap();
    });
}

#[test]
fn forged_pods_are_refused_and_a_running_holder_keeps_its_strand() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(GRACE).await;
        let holder = create(&installed, labelled()).await.unwrap();
        installed.strand().await;
        // All that a tenant can copy, with an image of his own.
        let mut copy = serde_json::to_value(&holder).unwrap();
        copy["metadata"] =
            json!({"name": "copy", "labels": holder.labels(), "annotations": holder.annotations()});
        copy["spec"]["initContainers"][0]["image"] = json!("evil");
        let refused = create(&installed, copy).await.unwrap_err();
        assert!(refused.contains("only the operator may set"), "{refused}");
        // A pod that claims to be the first of a StatefulSet.
        let mut ordinal = labelled();
        ordinal["metadata"] = json!({"name": "db-0", "labels": {names::INTEGRATION_LABEL: "boboyka"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": true}]});
        let refused = create(&installed, ordinal).await.unwrap_err();
        assert!(
            refused.contains("only the controller of StatefulSet db"),
            "{refused}"
        );
        for (what, spec) in [
            ("hostNetwork", json!({"hostNetwork": true})),
            (
                "shareProcessNamespace",
                json!({"shareProcessNamespace": true}),
            ),
            ("Windows", json!({"os": {"name": "windows"}})),
        ] {
            let mut exposed = labelled();
            for (field, value) in spec.as_object().unwrap() {
                exposed["spec"][field] = value.clone();
            }
            let refused = create(&installed, exposed).await.unwrap_err();
            assert!(refused.contains(what), "{refused}");
        }
        let strands = installed.strands().await;
        assert_eq!(strands.len(), 1);
        assert_eq!(holder_of(&strands[0]), holder.uid().as_deref());
    });
}

#[test]
fn the_next_pod_of_an_ordinal_holds_its_strand() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(GRACE).await;
        installed.stateful_set().await;
        let pods = installed.namespace.api::<Pod>();
        let mut before = None;
        for _ in 0..3 {
            let held = || async {
                let pod = pods.get_opt("db-0").await?;
                let uid = pod
                    .and_then(|pod| pod.uid())
                    .filter(|uid| before.as_ref() != Some(uid));
                let strands = installed.strands().await;
                Ok(uid.is_some() && strands.len() == 1 && holder_of(&strands[0]) == uid.as_deref())
            };
            wait_for("db-0 to hold its strand", LIMIT, held)
                .await
                .unwrap();
            before = pods.get("db-0").await.unwrap().uid();
            installed.end("db-0").await;
        }
        let strands = installed.strands().await;
        let slot = strands[0].spec.slot.as_ref().unwrap();
        assert_eq!(
            (slot.kind.as_str(), slot.key.as_str()),
            ("StatefulSet", "0")
        );
    });
}
