//! The storage class `local`: once the scheduler has chosen a node for a claim, a volume with an end is mounted there
//! and made known to Kubernetes. A claim that is deleted takes its volume with it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinHandle;

const PROVISIONER: &str = "boboyka.test/local";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// More than the sidecar wants free before it takes a record.
const VOLUME_SIZE: &str = "192m";
/// How often claims are looked at: soon enough for a test that waits for a pod.
const PERIOD: Duration = Duration::from_millis(300);

/// A node's name, the process that holds its namespaces, and its volumes' folder.
pub(crate) type Place = (String, u32, PathBuf);

/// Makes the class and serves it until the task is aborted.
pub(crate) async fn provision(client: Client, places: Vec<Place>) -> Result<JoinHandle<()>> {
    let class = json!({
        "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete",
    });
    Api::<StorageClass>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(class)?)
        .await?;
    Ok(tokio::spawn(async move {
        loop {
            // The API server may be away on purpose; the next round tries again.
            let _ = round(&client, &places).await;
            tokio::time::sleep(PERIOD).await;
        }
    }))
}

async fn round(client: &Client, places: &[Place]) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for claim in claims.list(&ListParams::default()).await? {
        let unbound = claim.spec.as_ref().is_some_and(|spec| {
            spec.volume_name.is_none() && spec.storage_class_name.as_deref() == Some("local")
        });
        let node = claim.annotations().get(SELECTED_NODE);
        if let (true, Some(node), Some(uid)) = (unbound, node, claim.uid()) {
            let name = format!("pvc-{uid}");
            if let Some(place) = places.iter().find(|place| place.0 == *node)
                && volumes.get_opt(&name).await?.is_none()
            {
                mount(place, &name).await?;
                let volume = serde_json::from_value(volume(&claim, place, &name))?;
                volumes.create(&PostParams::default(), &volume).await?;
            }
        }
    }
    for volume in volumes.list(&ListParams::default()).await? {
        let phase = volume
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let name = volume.name_any();
        let node = volume.annotations().get(SELECTED_NODE);
        let ours = node.and_then(|node| places.iter().find(|place| place.0 == *node));
        if let (Some("Released"), Some(place)) = (phase, ours) {
            let folder = place.2.join(&name);
            on_node(
                place,
                &format!("! mountpoint -q {0} || umount {0}", folder.display()),
            )
            .await?;
            volumes.delete(&name, &DeleteParams::default()).await?;
        }
    }
    Ok(())
}

fn volume(
    claim: &PersistentVolumeClaim,
    (node, _, folder): &Place,
    name: &str,
) -> serde_json::Value {
    let spec = claim.spec.as_ref();
    json!({
        "metadata": {
            "name": name,
            "annotations": {SELECTED_NODE: node, "pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "storageClassName": "local",
            "capacity": spec.and_then(|spec| spec.resources.as_ref()).and_then(|wanted| wanted.requests.clone()),
            "accessModes": spec.and_then(|spec| spec.access_modes.clone()),
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(), "name": claim.name_any(), "uid": claim.uid(),
            },
            "local": {"path": folder.join(name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]},
            ]}]}},
        },
    })
}

async fn mount(place: &Place, name: &str) -> Result<()> {
    let folder = place.2.join(name);
    let script = format!(
        "mkdir -p {0}; mountpoint -q {0} || mount -t tmpfs -o size={VOLUME_SIZE},mode=0777 tmpfs {0}",
        folder.display()
    );
    on_node(place, &script).await
}

async fn on_node(place: &Place, script: &str) -> Result<()> {
    let mut command = tokio::process::Command::new("nsenter");
    command.args([
        "--target",
        &place.1.to_string(),
        "--mount",
        "--",
        "bash",
        "-euc",
        script,
    ]);
    let output = command.output().await?;
    anyhow::ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
