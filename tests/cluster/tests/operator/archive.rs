//! `spec.archive` on nodes, with an object store that others wrote: what a fleet archives, and what stands in the way.

use std::collections::BTreeMap;
use std::fs;

use boboyka_cluster::{Cluster, wait_for};
use boboyka_crds::{ArchiveReport, BoboykaIntegration};
use boboyka_tests::Objects;
use boboyka_tests::objects::SECRET;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::agents::{Agents, LIMIT};
use crate::plugin::Desk;
use crate::product::{cluster, condition, kubectl, run};

const KEYS: &str = "boboyka-archive";

/// An object store that pods reach.
struct Store {
    objects: Objects,
    endpoint: String,
    _forward: JoinHandle<()>,
}

impl Store {
    async fn start(cluster: &Cluster) -> Self {
        let objects = Objects::start().await;
        let variables: BTreeMap<_, _> = objects.variables(SECRET).into_iter().collect();
        let edge = variables["AWS_ENDPOINT"].trim_start_matches("http://");
        let host = (cluster.host(), 0).into();
        let forwarded = boboyka_cluster::forward(host, edge.parse().unwrap()).await;
        let (address, forward) = forwarded.unwrap();
        Self {
            objects,
            endpoint: format!("http://{address}"),
            _forward: forward,
        }
    }

    /// Writes the Secret with this key.
    async fn write_key(&self, agents: &Agents, key: &str) {
        let mut values: BTreeMap<_, _> = self.objects.variables(key).into_iter().collect();
        values.insert("AWS_ENDPOINT".to_owned(), self.endpoint.clone());
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": KEYS}, "stringData": values,
        });
        let parameters = PatchParams::apply("test").force();
        let secrets = agents.namespace.api::<Secret>();
        let change = Patch::Apply(&secret);
        secrets.patch(KEYS, &parameters, &change).await.unwrap();
    }

    /// The names of a strand's segments.
    fn segments(&self, strand: &str) -> Vec<String> {
        let entries = fs::read_dir(self.objects.folder(strand));
        let entries = entries.into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".seg")).collect()
    }
}

fn message(integration: &BoboykaIntegration) -> String {
    let status = integration.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.into_iter();
    let found = conditions.find(|one| one.type_ == "Archived");
    found.map(|one| one.message).unwrap_or_default()
}

/// Waits until the condition says that strands can't be archived, with this code.
async fn fails(agents: &Agents, code: &str) {
    let what = format!("the condition to name {code}");
    let named = |it: &BoboykaIntegration| {
        condition(it, "Archived") == "False/ArchiveFails"
            && message(it).contains(&format!("({code})"))
    };
    agents.wait_until(&what, named).await;
}

/// What the one strand reports: its UUID, and how its archive stands.
async fn reported(agents: &Agents) -> (String, ArchiveReport) {
    let status = agents.strands().await.remove(0).status.unwrap_or_default();
    let id = status.strand_id.unwrap_or_default();
    (id, status.archive.unwrap_or_default())
}

async fn status(agents: &Agents, pod: &str) -> Value {
    serde_json::from_str(&agents.get(pod, "/v1/boboyka/status").await).unwrap()
}

/// Waits until the sidecar of a pod says this of its retention.
async fn retention(agents: &Agents, pod: &str, what: &str, wanted: impl Fn(&Value) -> bool) {
    let is = || async { Ok(wanted(&status(agents, pod).await)) };
    wait_for(what, LIMIT, is).await.unwrap();
}

/// A pod that was there before the archive keeps everything, and says so.
async fn a_pod_of_before_prunes_nothing(cluster: &Cluster, agents: &Agents) {
    let pod = agents.pod("stays").await;
    fails(agents, "unmounted").await;
    agents
        .wait_for_condition("SidecarsUpToDate", "False/OldSettings")
        .await;
    retention(agents, &pod, "retention to wait for the archive", |it| {
        it["retention"]["blocked_by"]["by"] == "archive"
    })
    .await;
    let now = status(agents, &pod).await;
    assert_eq!(now["strand"]["floor"]["seq"], 0, "{now}");
    assert_eq!(now["archive"]["error"]["code"], "unmounted", "{now}");
    // A pod that is deleted alone is replaced while it still holds its strand, and the next one gets an empty strand.
    let namespace = agents.namespace.name();
    for arguments in [
        &["rollout", "restart"][..],
        &["rollout", "status", "--timeout=280s"][..],
    ] {
        let of = ["deployment/stays", "--namespace", namespace];
        kubectl(cluster, &[arguments, &of[..]].concat());
    }
}

#[test]
fn a_fleet_is_archived_and_what_stands_in_the_way_is_named() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::without_integration(cluster).await;
        let store = Store::start(cluster).await;
        store.write_key(&agents, "wrong").await;
        agents
            .integrate(json!({"storage": {"size": "100Mi"}}))
            .await;
        agents.deploy("stays", 1, json!({"type": "Recreate"})).await;
        agents.post(&agents.pod("stays").await, "bld_before").await;

        let archive =
            json!({"url": store.objects.url(), "after": "0s", "secretRef": {"name": KEYS}});
        let asked = json!({"archive": archive, "retention": {"maxAge": "1m"}});
        agents.edit(asked).await;
        a_pod_of_before_prunes_nothing(cluster, &agents).await;

        let pod = agents.pod("stays").await;
        fails(&agents, "refused").await;
        let counts = agents.integration().await.status.unwrap().archive.unwrap();
        assert_eq!((counts.failing, counts.unknown), (1, 0));
        let desk = Desk::new(cluster, &agents);
        let printed = desk.ends(1, "kubectl boboyka status");
        assert!(printed.contains("(refused)"), "{printed}");

        store.write_key(&agents, SECRET).await;
        agents
            .wait_for_condition("Archived", "True/AsExpected")
            .await;
        let (id, _) = reported(&agents).await;
        wait_for("the segment to be there", LIMIT, || async {
            Ok(!store.segments(&id).is_empty() && reported(&agents).await.1.archived_seq > 0)
        })
        .await
        .unwrap();
        retention(&agents, &pod, "retention to prune what is archived", |it| {
            it["strand"]["floor"]["seq"].as_u64() > Some(0)
        })
        .await;
        let (_, report) = reported(&agents).await;
        assert_eq!((report.url, report.fault), (store.objects.url(), None));
        let told = agents.told().await;
        assert!(told.contains("ArchiveFails: "), "{told}");
        assert!(
            !told.contains(SECRET) && !told.contains("AccessDenied"),
            "{told}"
        );
        assert_eq!(agents.pod("stays").await, pod, "a key needs no restart");
    });
}
