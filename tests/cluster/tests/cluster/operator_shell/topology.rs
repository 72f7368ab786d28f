//! Which strand a pod gets where volumes lie on some nodes only.

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaStrand, names};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT, labelled};
use crate::shared::run;

const ZONE: &str = "topology.kubernetes.io/zone";

fn pod(place: &Value) -> Pod {
    let mut pod = labelled();
    for (field, value) in place.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    serde_json::from_value(pod).unwrap()
}

/// A zone of this test, and its one node, which has the same name.
fn zone(installed: &Installed, name: &str) -> String {
    format!("{}-{name}", installed.namespace.name())
}

fn in_zone(zone: &str) -> Value {
    json!({"nodeSelector": {ZONE: zone}})
}

fn term(zone: &str) -> Value {
    json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}]})
}

fn strand_of(pod: &Pod) -> String {
    pod.annotations()[names::STRAND_ANNOTATION].clone()
}

/// The strand that a pod would get.
async fn offered(installed: &Installed, place: &Value) -> String {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pods = installed.namespace.api::<Pod>();
    strand_of(&pods.create(&dry, &pod(place)).await.unwrap())
}

/// Creates a pod and waits until it holds its strand; both names.
async fn hold(installed: &Installed, place: &Value) -> (String, String) {
    let pods = installed.namespace.api::<Pod>();
    let pod = pods
        .create(&PostParams::default(), &pod(place))
        .await
        .unwrap();
    let (name, strand) = (pod.name_any(), strand_of(&pod));
    let strands = installed.namespace.api::<BoboykaStrand>();
    wait_for("the pod to hold its strand and claim", LIMIT, || async {
        let found = strands.get_opt(&strand).await?;
        Ok(found.is_some_and(|one| {
            let held = one
                .spec
                .holder
                .is_some_and(|one| one.pod_uid == pod.metadata.uid);
            held && one.spec.claim_uid.is_some()
        }))
    })
    .await
    .unwrap();
    (name, strand)
}

async fn end(installed: &Installed, pod: &str, strand: &str) {
    installed.end(pod).await;
    let strands = installed.namespace.api::<BoboykaStrand>();
    wait_for("the strand to be free", LIMIT, || async {
        Ok(strands.get(strand).await?.spec.holder.is_none())
    })
    .await
    .unwrap();
}

async fn make_node(installed: &Installed, zone: &str) {
    let node = json!({"metadata": {"name": zone, "labels": {ZONE: zone}}});
    let node = serde_json::from_value(node).unwrap();
    let nodes = Api::<Node>::all(installed.cluster.client());
    nodes.create(&PostParams::default(), &node).await.unwrap();
}

async fn edit_claim(installed: &Installed, strand: &str, change: &Value) {
    let claims = installed.namespace.api::<PersistentVolumeClaim>();
    claims
        .patch(
            &names::claim_of(strand),
            &PatchParams::default(),
            &Patch::Merge(change),
        )
        .await
        .unwrap();
}

/// Binds a strand's claim to a volume that lies in this zone.
async fn lay(installed: &Installed, strand: &str, zone: &str) {
    let volume = json!({"metadata": {"name": zone}, "spec": {
        "capacity": {"storage": "1000Gi"}, "accessModes": ["ReadWriteOncePod"], "local": {"path": "/nowhere"},
        "persistentVolumeReclaimPolicy": "Retain", "nodeAffinity": {"required": term(zone)},
        "claimRef": {"namespace": installed.namespace.name(), "name": names::claim_of(strand)},
    }});
    let volume = serde_json::from_value(volume).unwrap();
    let volumes = Api::<PersistentVolume>::all(installed.cluster.client());
    volumes
        .create(&PostParams::default(), &volume)
        .await
        .unwrap();
    edit_claim(installed, strand, &json!({"spec": {"volumeName": zone}})).await;
}

#[test]
fn a_pod_gets_no_strand_whose_volume_lies_where_it_may_not_run() {
    run(async {
        let installed = Installed::new().await;
        let _replica = installed.operated(&["--namespace-watched="]).await;
        let (a, b) = (zone(&installed, "a"), zone(&installed, "b"));
        make_node(&installed, &a).await;
        make_node(&installed, &b).await;

        let (first, lies_in_a) = hold(&installed, &json!({})).await;
        lay(&installed, &lies_in_a, &a).await;
        end(&installed, &first, &lies_in_a).await;
        let affinity = |zone: &str| {
            json!({"affinity": {"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": term(zone)}}})
        };
        for elsewhere in [in_zone(&b), affinity(&b), json!({"nodeName": b})] {
            wait_for(
                "another strand than the one in the other zone",
                LIMIT,
                || async { Ok(offered(&installed, &elsewhere).await != lies_in_a) },
            )
            .await
            .unwrap_or_else(|error| panic!("{elsewhere}: {error}"));
        }
        for there in [json!({}), in_zone(&a), affinity(&a), json!({"nodeName": a})] {
            assert_eq!(offered(&installed, &there).await, lies_in_a, "{there}");
        }

        // A claim whose volume is being made is bound to that node already.
        let (second, made_in_b) = hold(&installed, &in_zone(&b)).await;
        assert_ne!(made_in_b, lies_in_a);
        let selected =
            json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": b}}});
        edit_claim(&installed, &made_in_b, &selected).await;
        end(&installed, &second, &made_in_b).await;
        let (_, taken) = hold(&installed, &in_zone(&a)).await;
        assert_eq!(taken, lies_in_a);
        wait_for("a new strand in the first zone", LIMIT, || async {
            Ok(offered(&installed, &in_zone(&a)).await != made_in_b)
        })
        .await
        .unwrap();
        assert_eq!(offered(&installed, &in_zone(&b)).await, made_in_b);
        assert_eq!(installed.strands().await.len(), 2);
        for zone in [a, b] {
            let nodes = Api::<Node>::all(installed.cluster.client());
            nodes.delete(&zone, &DeleteParams::default()).await.unwrap();
        }
    });
}
