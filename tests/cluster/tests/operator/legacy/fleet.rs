//! Agents that post for three projects all the time, and what their strands were told to mirror.

use std::sync::Arc;

use boboyka_cluster::{Cluster, wait_for};
use boboyka_crds::{BoboykaIntegration, IntegrationStatus, LegacyStatus, Phase, ProjectStatus};
use boboyka_tests::promises::{self, Promise, Record, Rows, Strand};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::agents::{Agents, LIMIT, template};
use crate::caller::all_events;
use crate::load::Load;

pub(super) const PODS: [&str; 2] = ["legacy-0", "legacy-1"];
/// Records between two edits.
pub(super) const SOME: usize = 80;

/// Agents that post all the time.
pub(super) struct Fleet {
    pub(super) agents: Agents,
    pub(super) load: Load,
    /// Whether Supabase has a row for each build.
    pub(super) has_states: bool,
}

/// Writes the list into its ConfigMap.
async fn write_list(agents: &Agents, names: &str) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "boboyka-legacy-projects"},
        "data": {"projects.txt": names},
    });
    let parameters = PatchParams::apply("test").force();
    let maps = agents.namespace.api::<ConfigMap>();
    maps.patch("boboyka-legacy-projects", &parameters, &Patch::Apply(&map))
        .await
        .unwrap();
}

fn made(pod: &str, n: u64) -> Value {
    let (kind, data) = promises::record(pod, n);
    json!({"record_type": kind, "data": data})
}

impl Fleet {
    /// The list is in the specification, or in a ConfigMap where Supabase has a row for each build.
    pub(super) async fn start(cluster: &Cluster, has_states: bool) -> Self {
        let agents = Agents::without_integration(cluster).await;
        agents.write_secret(&agents.supabase.jwt_key()).await;
        if has_states {
            let schema = include_str!("../../../../../sidecar/supabase/schema.sql");
            let unique = "create unique index one_row on project_builds (build_id)";
            agents.supabase.sql(unique);
            agents.supabase.sql_notices(schema);
            agents.supabase.change_schema("select 1").await;
        }
        let migration = if has_states {
            write_list(&agents, "proj_b\n# of the old shop\nproj_a\n").await;
            let from = json!({"name": "boboyka-legacy-projects", "key": "projects.txt"});
            json!({"legacyProjectsFrom": {"configMapKeyRef": from}, "legacyShared": true})
        } else {
            json!({"legacyProjects": ["proj_b", "proj_a"]})
        };
        let mirror = json!({"ackTimeout": "200ms"});
        let supabase = json!({"secretRef": {"name": "boboyka-supabase"}, "mirror": mirror});
        let storage = json!({"size": "100Mi"});
        agents
            .integrate(json!({"supabase": supabase, "storage": storage, "migration": migration}))
            .await;
        let set = json!({"metadata": {"name": "legacy"}, "spec": {
            "replicas": PODS.len(), "serviceName": "legacy", "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "legacy"}}, "template": template("legacy"),
        }});
        agents.namespace.create::<StatefulSet>(set).await.unwrap();
        agents.pods("legacy", PODS.len()).await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let load = Load::of(Arc::clone(&agents.namespace), made);
        Self {
            agents,
            load,
            has_states,
        }
    }

    pub(super) async fn status(&self, what: &str, wanted: impl Fn(&IntegrationStatus) -> bool) {
        let is_so = |it: &BoboykaIntegration| it.status.as_ref().is_some_and(&wanted);
        self.agents.wait_until(what, is_so).await;
    }

    /// Has every sidecar compare, as a person does who does not want to wait for the next round, until nothing old waits.
    pub(super) async fn compares_until_caught_up(&self) {
        let url = "http://127.0.0.1:7475/v1/boboyka/mirror/check";
        wait_for("the tables to be compared", LIMIT, || async {
            let mut is_known = true;
            for pod in PODS {
                let command = ["/boboyka-probe", "post", url, "{}"];
                let told = self.agents.namespace.exec(pod, "app", &command).await?;
                let told: Value = serde_json::from_str(&told)?;
                let lanes = told["lanes"].as_array().unwrap();
                is_known &= lanes.iter().all(|lane| lane["parity"].is_object());
            }
            Ok(is_known)
        })
        .await
        .unwrap();
    }

    /// Takes `proj_a` off the list.
    pub(super) async fn drop_a(&self) {
        if self.has_states {
            write_list(&self.agents, "proj_b\n").await;
        } else {
            let list = json!({"legacyProjects": ["proj_b"], "legacyShared": true});
            self.agents.edit(json!({"migration": list})).await;
        }
    }

    /// Waits until the Events say this.
    pub(super) async fn is_told(&self, text: &str) {
        let what = format!("an Event that says {text:?}");
        wait_for(&what, LIMIT, || async {
            Ok(self.agents.told().await.contains(text))
        })
        .await
        .unwrap();
    }

    /// Asks for a phase, and waits until every strand obeys it.
    pub(super) async fn moves_to(&self, phase: Phase) {
        self.load.acknowledges(SOME).await;
        self.agents.edit(json!({"phase": phase})).await;
        self.obeys(phase).await;
        self.load.acknowledges(SOME).await;
    }

    /// Waits until a phase is in force, and every strand obeys it.
    pub(super) async fn obeys(&self, phase: Phase) {
        self.status(&format!("{phase}"), |it| it.phase == Some(phase))
            .await;
        wait_for("every strand to obey the phase", LIMIT, || async {
            let strands = self.agents.strands().await;
            let mut reports = strands.iter().map(|strand| strand.status.as_ref());
            Ok(reports.all(|it| it.is_some_and(|it| it.phase == Some(phase))))
        })
        .await
        .unwrap();
    }

    /// Waits until a project stands as a test wants it.
    pub(super) async fn project(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&ProjectStatus) -> bool,
    ) {
        let is_so = |it: &IntegrationStatus| {
            let projects = it.migration.iter().flat_map(|it| &it.projects);
            projects.into_iter().any(|it| it.name == name && wanted(it))
        };
        self.status(what, is_so).await;
    }

    pub(super) async fn list(&self) -> LegacyStatus {
        let status = self.agents.integration().await.status.unwrap();
        status.migration.unwrap().legacy.unwrap()
    }

    /// The strands as they are, each with what it was told to mirror.
    pub(super) async fn strands(&self) -> Vec<Strand> {
        let mut strands = Vec::new();
        for pod in PODS {
            let events = all_events(&self.agents.namespace, pod).await;
            let records = events.iter();
            strands.push(Strand {
                records: records
                    .filter_map(|it| Record::of(it, &it["data"]))
                    .collect(),
                promise: promise(&events, self.has_states),
            });
        }
        strands
    }

    /// Supabase has nothing that was not promised, and gets everything that was, while records go on coming.
    pub(super) async fn promises_are_kept(&self) {
        let rows = || Rows::of(&self.agents.supabase, self.has_states);
        let before = rows();
        let strands = self.strands().await;
        assert_eq!(before.too_many(&strands), Vec::<String>::new());
        wait_for("Supabase to have what was promised", LIMIT, || async {
            let missing = rows().missing(&strands);
            anyhow::ensure!(missing.is_empty(), "{} of {missing:#?}", missing.len());
            Ok(true)
        })
        .await
        .unwrap();
    }
}

/// What a strand was told to mirror, by its own records of the changes: the lists are those of the test, in their order.
fn promise(events: &[Value], is_shared: bool) -> Promise {
    let changes = |event: &str| {
        let all = events.iter().filter(|it| it["data"]["event"] == event);
        let all = all.map(|it| &it["data"]["metadata"]);
        let mut all: Vec<&Value> = all.collect();
        all.sort_by_key(|change| boundary(change));
        all
    };
    let phases = changes("phase_changed");
    let left = phases.iter().find(|it| it["from"] == "DualWrite");
    let is_back = phases.iter().any(|it| it["to"] == "DualWrite");
    let until = left
        .filter(|_| !is_back)
        .map_or(u64::MAX, |it| boundary(it));
    let lists = changes("legacy_projects_changed");
    assert!(lists.len() <= 1, "each change once: {lists:?}");
    let first = (until, vec!["proj_a", "proj_b"], is_shared);
    let second = lists.iter().map(|it| {
        assert_eq!(it["removed"], json!(["proj_a"]));
        (boundary(it), vec!["proj_b"], true)
    });
    Promise {
        until,
        lists: [first].into_iter().chain(second).collect(),
    }
}

fn boundary(change: &Value) -> u64 {
    change["boundary_seq"].as_u64().unwrap()
}
