//! The definitions of the product's resources, as a real API server takes them.

use std::process::Command;

use boboyka_crds::{BoboykaIntegration, definitions};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::shared::{cluster, run};
use boboyka_cluster::{TestNamespace, wait_for};

#[derive(Deserialize)]
struct Fixture {
    it: String,
    name: Option<String>,
    from: Option<Value>,
    spec: Value,
    refused: Option<String>,
}

/// Installs both definitions, once.
async fn install(client: Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let install = async {
        let api = Api::<CustomResourceDefinition>::all(client);
        for definition in definitions().unwrap() {
            let name = definition.name_any();
            let parameters = PatchParams::apply("test");
            api.patch(&name, &parameters, &Patch::Apply(&definition))
                .await
                .unwrap();
            let limit = boboyka_tests::process::GUARD;
            wait_for("the definition to be established", limit, || async {
                let status = api.get(&name).await?.status.unwrap_or_default();
                let mut conditions = status.conditions.unwrap_or_default().into_iter();
                Ok(conditions.any(|one| one.type_ == "Established" && one.status == "True"))
            })
            .await
            .unwrap();
        }
    };
    Box::pin(INSTALLED.get_or_init(|| install)).await;
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
        Box::pin(install(client.clone())).await;
        let namespace = TestNamespace::new(client.clone()).await.unwrap();
        let resource = kube::api::ApiResource::erase::<BoboykaIntegration>(&());
        let api = Api::<DynamicObject>::namespaced_with(client, namespace.name(), &resource);
        let table = include_str!("../../../../crds/tests/fixtures.yaml");
        let fixtures: Vec<Fixture> = serde_yaml::from_str(table).unwrap();
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
                    let before = api.create(&PostParams::default(), &before).await.unwrap();
                    let mut after = asked;
                    after.metadata.resource_version = before.resource_version();
                    let answer = api.replace(name, &PostParams::default(), &after).await;
                    api.delete(name, &DeleteParams::default()).await.unwrap();
                    answer
                }
            };
            match (fixture.refused, answer) {
                (None, answer) => drop(answer.unwrap_or_else(|e| panic!("{}: {e}", fixture.it))),
                (Some(field), Err(kube::Error::Api(status))) => {
                    let message = status.message;
                    assert!(message.contains(&field), "{}: {message}", fixture.it);
                    // Not for what the rule itself costs or how it is written.
                    assert!(!message.contains("rule:"), "{}: {message}", fixture.it);
                }
                (Some(field), answer) => {
                    panic!("{}: {field} is not refused: {answer:?}", fixture.it)
                }
            }
        }
    });
}

#[test]
fn defaults_are_filled_in_and_kubectl_shows_and_explains_the_resource() {
    run(async {
        let cluster = cluster().await;
        Box::pin(install(cluster.client())).await;
        let namespace = TestNamespace::new(cluster.client()).await.unwrap();
        let api = Api::<BoboykaIntegration>::namespaced(cluster.client(), namespace.name());
        let spec = json!({"supabase": {"secretRef": {"name": "s"}, "mirror": {}}});
        let parsed = serde_json::from_value(json!({
            "apiVersion": "boboyka.sapixdb.com/v1alpha1", "kind": "BoboykaIntegration",
            "metadata": {"name": "boboyka"}, "spec": spec,
        }));
        let made = api.create(&PostParams::default(), &parsed.unwrap()).await;
        let supabase = made.unwrap().spec.supabase.unwrap();
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
    });
}
