//! The definitions of the product's resources, as a real API server takes them.

use std::process::Command;

use boboyka_cluster::TestNamespace;
use boboyka_crds::BoboykaIntegration;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authorization::cluster;
use crate::shared::run;

#[derive(Deserialize)]
struct Fixture {
    it: String,
    name: Option<String>,
    from: Option<Value>,
    spec: Value,
    status: Option<Value>,
    refused: Option<String>,
}

fn integration(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
        "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

#[test]
fn the_api_server_refuses_what_the_table_says_and_names_the_field() {
    run(async {
        let client = cluster().await.client();
        let namespace = TestNamespace::new(client.clone()).await.unwrap();
        let resource = kube::api::ApiResource::erase::<BoboykaIntegration>(&());
        let api = Api::<DynamicObject>::namespaced_with(client, namespace.name(), &resource);
        let table = include_str!("../../../../crds/tests/fixtures.yaml");
        let fixtures: Vec<Fixture> = serde_yaml::from_str(table).unwrap();
        let mut wrong = Vec::new();
        for fixture in fixtures {
            let name = fixture.name.as_deref().unwrap_or("boboyka");
            let asked = integration(name, &fixture.spec);
            let answer = match fixture.from {
                None => {
                    let dry = PostParams {
                        dry_run: true,
                        ..PostParams::default()
                    };
                    api.create(&dry, &asked).await
                }
                Some(from) => {
                    let before = integration(name, &from);
                    let mut before = api.create(&PostParams::default(), &before).await.unwrap();
                    if let Some(status) = &fixture.status {
                        let status = Patch::Merge(json!({"status": status}));
                        let parameters = PatchParams::default();
                        let patched = api.patch_status(name, &parameters, &status).await;
                        before = patched.unwrap();
                    }
                    let mut after = asked;
                    after.metadata.resource_version = before.resource_version();
                    let answer = api.replace(name, &PostParams::default(), &after).await;
                    api.delete(name, &DeleteParams::default()).await.unwrap();
                    answer
                }
            };
            let it = fixture.it;
            match (fixture.refused, answer) {
                (None, Ok(_)) => {}
                (None, Err(error)) => wrong.push(format!("{it}: {error}")),
                (Some(field), Err(kube::Error::Api(status))) => {
                    let message = status.message;
                    // Not for what the rule itself costs or how it is written.
                    if !message.contains(&field) || message.contains("rule:") {
                        wrong.push(format!("{it}: {message}"));
                    }
                }
                (Some(field), answer) => {
                    wrong.push(format!("{it}: {field} is not refused: {answer:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn defaults_are_filled_in_and_kubectl_shows_and_explains_the_resource() {
    run(async {
        let cluster = cluster().await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        let api = Api::<BoboykaIntegration>::namespaced(cluster.client(), namespace.name());
        let spec = json!({"supabase": {"secretRef": {"name": "s"}, "mirror": {}}});
        let parsed = serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka"}, "spec": spec,
        }));
        let made = api.create(&PostParams::default(), &parsed.unwrap()).await;
        let made = made.unwrap();
        let observed = made.status.unwrap().observed_generation;
        assert_eq!(observed, Some(-1), "kstatus waits for the operator");
        let supabase = made.spec.supabase.unwrap();
        assert_eq!(supabase.secret_ref.key_key, "key");
        assert_eq!(supabase.mirror.unwrap().ack_timeout, "2s");

        let kubectl = |arguments: &[&str]| {
            let mut command = Command::new(cluster.bin().join("kubectl"));
            command.arg("--kubeconfig").arg(cluster.kubeconfig());
            let output = command.args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let shown = kubectl(&["get", "bbi", "--namespace", namespace.name()]);
        for column in [
            "PHASE", "READY", "STRANDS", "RECORDS", "BACKLOG", "LAG", "SUPABASE", "AGE",
        ] {
            assert!(shown.contains(column), "{column}: {shown}");
        }
        let explained = kubectl(&["explain", "bbi.spec.phase"]);
        assert!(explained.contains("one step at a time"), "{explained}");
        for resource in ["bbi", "bbs"] {
            let explained = kubectl(&["explain", resource]);
            let description = explained.split_once("DESCRIPTION:").unwrap().1.trim_start();
            assert!(description.starts_with("Boboyka"), "{explained}");
        }
    });
}
