//! What monitoring shows: a real Prometheus scrapes both programs and evaluates the alerts and each panel of the dashboard.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use boboyka_cluster::wait_for;
use boboyka_tests::process::{Process, free_address};
use boboyka_tests::{Sidecar, Supabase, client, sidecar::answer};
use serde_json::{Value, json};

use super::installed::{Installed, LIMIT};
use super::replica::Replica;
use crate::charts::render::{MONITORING, find};
use crate::charts::{NAMESPACE, provisioned, root, template};
use crate::shared::run;

/// A Prometheus that scrapes one replica and one sidecar, with the labels that the `PodMonitors` set.
struct Prometheus {
    url: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    async fn start(replica: &Replica, sidecar: &Sidecar, rules: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, value: &Value| {
            let text = serde_yaml::to_string(value).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("rules.yaml", rules);
        write("prometheus.yaml", &configuration(replica, sidecar));
        let address = free_address();
        let process = Process::start(
            &mut command(folder.path(), &address.to_string()),
            &folder.path().join("log"),
        );
        let prometheus = Self {
            url: format!("http://{address}/api/v1/"),
            _process: process,
            _folder: folder,
        };
        // A rate needs two scrapes.
        prometheus
            .holds("two scrapes", "count(count_over_time(up[1h]) >= 2) == 2")
            .await;
        prometheus
            .holds("both programs", "count(up == 1) == 2")
            .await;
        prometheus
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answered = client()
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .is_ok();
        if !answered {
            return None;
        }
        let (status, body) = answer(client().get(format!("{}{path}", self.url))).await;
        assert_eq!(status, 200, "{path}: {body}");
        Some(body["data"].clone())
    }

    async fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let data = self
            .get(&format!("query?query={}", encoded(expression)))
            .await?;
        Some(data["result"].as_array().unwrap().clone())
    }

    /// Waits until an expression has a result.
    async fn holds(&self, what: &str, expression: &str) {
        wait_for(&format!("{what}: {expression}"), LIMIT, || async {
            Ok(self
                .query(expression)
                .await
                .is_some_and(|found| !found.is_empty()))
        })
        .await
        .unwrap();
    }

    /// Waits until all metrics that a text names have been scraped.
    async fn knows(&self, text: &str, named: &BTreeSet<String>) {
        wait_for(&format!("what {text} names"), LIMIT, || async {
            let emitted = self.names().await;
            // Documents name a histogram without what Prometheus appends.
            let is_emitted = |name: &String| {
                emitted.contains(name) || emitted.contains(&format!("{name}_bucket"))
            };
            let unknown: Vec<_> = named.iter().filter(|name| !is_emitted(name)).collect();
            if unknown.is_empty() {
                return Ok(true);
            }
            Err(anyhow::anyhow!("no program emits {unknown:?}"))
        })
        .await
        .unwrap();
    }

    /// The names of all scraped metrics.
    async fn names(&self) -> BTreeSet<String> {
        let names = self.get("label/__name__/values").await.unwrap();
        serde_json::from_value(names).unwrap()
    }
}

fn command(folder: &Path, address: &str) -> Command {
    let mut command = Command::new(provisioned("PROMETHEUS"));
    command.current_dir(folder).args([
        "--config.file=prometheus.yaml",
        "--storage.tsdb.path=data",
        &format!("--web.listen-address={address}"),
    ]);
    command
}

fn configuration(replica: &Replica, sidecar: &Sidecar) -> Value {
    let job = |name: &str, target: String, labels: Value| {
        json!({"job_name": format!("{NAMESPACE}/{name}"),
            "static_configs": [{"targets": [target], "labels": labels}]})
    };
    let of_sidecar = sidecar.observe_url("");
    let of_sidecar = of_sidecar
        .trim_start_matches("http://")
        .trim_end_matches('/');
    json!({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            job("boboyka-operator", replica.observe.to_string(), json!({"namespace": NAMESPACE, "pod": "operator"})),
            job("boboyka-sidecar", of_sidecar.to_owned(), json!({
                "namespace": "agents", "pod": "agent", "integration": "boboyka", "strand": "boboyka-0"})),
        ],
    })
}

/// An expression in the query of a URL.
fn encoded(expression: &str) -> String {
    let escaped = |byte: u8| format!("%{byte:02X}");
    expression.bytes().map(escaped).collect::<Vec<_>>().concat()
}

fn dashboard(rendered: &[Value]) -> Value {
    let map = find(rendered, "ConfigMap", "boboyka-dashboard").unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    serde_json::from_str(map["data"]["boboyka.json"].as_str().unwrap()).unwrap()
}

/// Each panel's title and expressions, as Grafana sends them when everything is chosen.
fn panels(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title, target["expr"].as_str().unwrap()))
    });
    let chosen = |expression: &str| {
        ["$namespace", "$integration", "$strand"]
            .iter()
            .fold(expression.to_owned(), |text, name| text.replace(name, ".*"))
            .replace("$__rate_interval", "1m")
    };
    targets
        .map(|(title, expression)| (title.to_owned(), chosen(expression)))
        .collect()
}

/// The names of our metrics in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text
        .split(|c| !part(c))
        .filter(|word| word.starts_with("boboyka_"));
    words.map(str::to_owned).collect()
}

#[test]
fn a_prometheus_scrapes_both_programs_and_every_panel_shows_something() {
    run(async {
        let installed = Installed::new().await;
        let replica = installed.operated(&[]).await;
        // The metrics of a mirror need one, and those of an archive.
        let (supabase, archive) = (Supabase::start().await, tempfile::tempdir().unwrap());
        let folder = supabase.folder();
        let url = format!("file://{}", archive.path().display());
        let flags = [
            "--supabase-dir",
            folder.to_str().unwrap(),
            "--archive-url",
            &url,
        ];
        let sidecar = Sidecar::start_with(&flags, &[]).await;
        sidecar
            .ingest("audit_log", &json!({"agent_id": "a", "event": "e"}))
            .await;
        let rendered = template(&MONITORING);
        let rules = &find(&rendered, "PrometheusRule", "boboyka-operator").unwrap()["spec"];
        let prometheus = Prometheus::start(&replica, &sidecar, rules).await;
        let panels = panels(&dashboard(&rendered));
        assert!(panels.len() > 30, "{panels:#?}");
        for (title, expression) in &panels {
            prometheus.holds(title, expression).await;
        }
        let groups = prometheus.get("rules").await.unwrap();
        let groups = groups["groups"].as_array().unwrap();
        let rules: Vec<&Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert_eq!(rules.len(), 10);
        for rule in rules {
            assert_eq!(rule["lastError"].as_str().unwrap_or_default(), "", "{rule}");
        }
        let texts = [
            "docs/api.md",
            "charts/boboyka-operator/templates/alerts.yaml",
            "charts/boboyka-operator/dashboards/boboyka.json",
        ];
        for text in texts {
            let whole = std::fs::read_to_string(root().join(text)).unwrap();
            // Of the document, the table of metrics.
            let table = whole.split("| metric | labels |").nth(1);
            let named = names_in(
                table
                    .and_then(|rest| rest.split("\n\n").next())
                    .unwrap_or(&whole),
            );
            assert!(named.len() > 5, "{text}: {named:?}");
            prometheus.knows(text, &named).await;
        }
    });
}
