//! What the charts render, without a cluster.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use boboyka_crds::names;
use serde_json::{Value, json};

use super::{NAMESPACE, chart, objects, root, run_helm, template};

pub(crate) const MONITORING: [&str; 8] = [
    "--api-versions",
    "monitoring.coreos.com/v1",
    "--set",
    "monitoring.podMonitor.enabled=true",
    "--set",
    "monitoring.prometheusRule.enabled=true",
    "--set",
    "monitoring.dashboard.enabled=true",
];

pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

#[test]
fn both_charts_pass_helms_lint() {
    for name in ["boboyka-crds", "boboyka-operator"] {
        let place = chart(name);
        let output = run_helm(
            Path::new("/nonexistent"),
            &["lint", "--strict", place.to_str().unwrap()],
        );
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn what_is_generated_is_what_the_source_says() {
    let folder = tempfile::tempdir().unwrap();
    let script = root().join("tools/generate.sh");
    let output = Command::new(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut files = vec!["install.yaml".to_owned()];
    for file in std::fs::read_dir(root().join("crds/yaml")).unwrap() {
        let name = file.unwrap().file_name();
        files.push(format!("boboyka-crds/definitions/{}", name.display()));
    }
    assert_eq!(files.len(), 3);
    for file in files {
        let committed =
            std::fs::read_to_string(root().join("charts").join(&file)).unwrap_or_default();
        let generated = std::fs::read_to_string(folder.path().join(&file)).unwrap();
        assert!(
            committed == generated,
            "charts/{file} is behind its source: run `make generate`"
        );
    }
}

#[test]
fn the_definitions_outlive_their_chart_unless_somebody_says_otherwise() {
    let place = chart("boboyka-crds");
    for (keep, expected) in [("true", json!("keep")), ("false", Value::Null)] {
        let value = format!("keep={keep}");
        let all = ["template", "x", place.to_str().unwrap(), "--set", &value];
        let rendered = objects(&super::helm(Path::new("/nonexistent"), &all).unwrap());
        assert_eq!(rendered.len(), 2);
        for definition in rendered {
            assert_eq!(
                definition["metadata"]["annotations"]["helm.sh/resource-policy"],
                expected
            );
        }
    }
}

#[test]
fn the_operators_pod_keeps_to_the_restricted_standard() {
    let rendered = template(&[]);
    let deployment = find(&rendered, "Deployment", "boboyka-operator").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(
        context,
        &json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}})
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        pod["containers"][0]["image"],
        format!("localhost/boboyka-operator:{version}")
    );
    assert!(pod["containers"][0]["resources"]["limits"]["cpu"].is_null());
    let sidecar = json!({"name": "BOBOYKA_SIDECAR_IMAGE", "value": format!("localhost/boboyka-sidecar:{version}")});
    assert!(
        pod["containers"][0]["env"]
            .as_array()
            .unwrap()
            .contains(&sidecar)
    );
}

#[test]
fn values_of_an_earlier_chart_render_as_the_defaults_do() {
    // `helm upgrade --reuse-values` takes the values of the release, which know nothing of these.
    for later in ["witness", "legacyProjects", "telemetry"] {
        let without = template(&["--set", &format!("{later}=null")]);
        assert_eq!(without, template(&[]), "{later}");
    }
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    let environment = |more: &[&str]| {
        let rendered = template(more);
        let deployment = find(&rendered, "Deployment", "boboyka-operator").unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        container["env"].as_array().unwrap().clone()
    };
    let without = environment(&[]);
    assert!(!json!(without).to_string().contains("OTEL_"), "{without:?}");
    let endpoint = "telemetry.otlp.endpoint=http://collector:4318";
    let with = environment(&["--set", endpoint, "--set", "telemetry.otlp.ratio=0.25"]);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ] {
        assert!(
            with.contains(&json!({"name": name, "value": value})),
            "{with:?}"
        );
    }
}

#[test]
fn the_webhook_sees_labelled_pods_only_and_brings_no_certificate() {
    let rendered = template(&[]);
    let webhook = find(&rendered, "MutatingWebhookConfiguration", names::WEBHOOK).unwrap();
    let webhook = &webhook["webhooks"][0];
    assert!(webhook["clientConfig"]["caBundle"].is_null());
    assert_eq!(webhook["failurePolicy"], "Fail");
    assert_eq!(
        webhook["objectSelector"]["matchExpressions"],
        json!([{"key": names::INTEGRATION_LABEL, "operator": "Exists"}, {"key": names::JOB_LABEL, "operator": "DoesNotExist"}])
    );
    let selector = &webhook["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(selector["values"], json!(["kube-system", NAMESPACE]));
    let rendered = template(&["--set", "watchNamespace=agents"]);
    let webhook = find(&rendered, "MutatingWebhookConfiguration", names::WEBHOOK).unwrap();
    let selector = &webhook["webhooks"][0]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(selector["operator"], "In");
    assert_eq!(selector["values"], json!(["agents"]));
}

#[test]
fn only_an_operator_of_the_whole_cluster_reads_nodes_and_volumes() {
    let reads = |arguments: &[&str]| {
        let rendered = template(arguments);
        let role = find(&rendered, "ClusterRole", "boboyka-operator-cluster").unwrap();
        let rules = role["rules"].as_array().unwrap();
        let places = json!(["nodes", "persistentvolumes"]);
        rules
            .iter()
            .find(|rule| rule["resources"] == places)
            .map(|rule| rule["verbs"].clone())
    };
    assert_eq!(reads(&[]), Some(json!(["list", "watch"])));
    assert_eq!(reads(&["--set", "watchNamespace=agents"]), None);
}

#[test]
fn values_change_what_they_say_and_nothing_is_there_that_a_values_file_turned_off() {
    let all = template(&[]);
    assert!(find(&all, "PodDisruptionBudget", "boboyka-operator").is_some());
    assert!(find(&all, "NetworkPolicy", "boboyka-operator").is_some());
    // Asked for or not: a cluster that does not know them gets none.
    let asked = template(&MONITORING[2..]);
    assert!(
        all.iter()
            .chain(&asked)
            .all(|one| one["apiVersion"] != "monitoring.coreos.com/v1")
    );
    let known = template(&MONITORING);
    for (kind, name) in [
        ("PodMonitor", "boboyka-operator"),
        ("PodMonitor", "boboyka-sidecar"),
        ("PrometheusRule", "boboyka-operator"),
    ] {
        assert!(find(&known, kind, name).is_some(), "{kind} {name}");
    }

    let one = template(&[
        "--set",
        "replicas=1,networkPolicy.enabled=false,serviceAccount.create=false,rbac.create=false",
    ]);
    for kind in [
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceAccount",
        "ClusterRole",
        "Role",
        "RoleBinding",
    ] {
        assert!(!one.iter().any(|object| object["kind"] == kind), "{kind}");
    }
    let assigned = template(&["--set", "assignedUser=true,accessMode=ReadWriteOnce"]);
    let pod =
        &find(&assigned, "Deployment", "boboyka-operator").unwrap()["spec"]["template"]["spec"];
    assert!(pod["securityContext"]["runAsUser"].is_null());
    let environment = pod["containers"][0]["env"].as_array().unwrap();
    for (name, value) in [
        ("BOBOYKA_ACCESS_MODE", "ReadWriteOnce"),
        ("BOBOYKA_ASSIGNED_USER", "true"),
    ] {
        assert!(
            environment.contains(&json!({"name": name, "value": value})),
            "{name}"
        );
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let pinned = template(&[
        "--set",
        &format!("image.digest={digest},serviceAccount.name=other"),
    ]);
    let pod = &find(&pinned, "Deployment", "boboyka-operator").unwrap()["spec"]["template"]["spec"];
    assert_eq!(
        pod["containers"][0]["image"],
        format!("localhost/boboyka-operator@{digest}")
    );
    assert_eq!(pod["serviceAccountName"], "other");
    // The policies know the operator by that name too.
    let policies: String = pinned.iter().map(ToString::to_string).collect();
    assert!(policies.contains("system:serviceaccount:boboyka-system:other"));
    assert!(!policies.contains("system:serviceaccount:boboyka-system:boboyka-operator"));
}

#[test]
fn nothing_in_the_chart_is_made_up_at_rendering_or_belongs_to_the_running_operator() {
    let (first, second) = (template(&MONITORING), template(&MONITORING));
    assert_eq!(first, second);
    for kind in ["Secret", "Lease", "ConfigMap", "Job"] {
        let of_kind = first.iter().filter(|object| object["kind"] == kind);
        let others: Vec<_> = of_kind
            .filter(|object| object["metadata"]["name"] != "boboyka-dashboard")
            // It has the program make the key, in the cluster.
            .filter(|object| {
                !object["metadata"]["name"]
                    .to_string()
                    .contains("boboyka-witness-key-")
            })
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }
    let folder = chart("boboyka-operator").join("templates");
    for file in [folder.clone(), folder.join("policies")] {
        for file in std::fs::read_dir(file)
            .unwrap()
            .map(|file| file.unwrap().path())
        {
            let text = if file.is_file() {
                std::fs::read_to_string(&file).unwrap()
            } else {
                continue;
            };
            for function in ["lookup ", "genCA", "genSelf", "rand", "now ", "uuid"] {
                assert!(
                    !text.contains(&format!("{{{{ {function}")),
                    "{}: {function}",
                    file.display()
                );
            }
            assert!(!text.contains("helm.sh/hook"), "{}", file.display());
        }
    }
}

#[test]
fn the_schema_refuses_what_is_wrong_and_names_it() {
    let place = chart("boboyka-operator");
    for (value, named) in [
        ("replicaCount=3", "'replicaCount' not allowed"),
        ("replicas=0", "'/replicas'"),
        ("replicas=two", "'/replicas': got string, want integer"),
        ("image.digest=latest", "'/image/digest'"),
        ("image.pullPolicy=Sometimes", "'/image/pullPolicy'"),
        ("sidecar.image.repo=x", "'repo' not allowed"),
        ("watchNamespace=Not_A_Namespace", "'/watchNamespace'"),
        ("webhook.timeoutSeconds=60", "'/webhook/timeoutSeconds'"),
        (
            "networkPolicy.enabled=yes please",
            "'/networkPolicy/enabled': got string, want boolean",
        ),
        (
            "monitoring.podMonitor.interval=often",
            "'/monitoring/podMonitor/interval'",
        ),
    ] {
        let all = ["template", "x", place.to_str().unwrap(), "--set", value];
        let complained = super::helm(Path::new("/nonexistent"), &all)
            .unwrap_err()
            .to_string();
        assert!(complained.contains(named), "{value}: {complained}");
    }
}

#[test]
fn every_value_is_in_the_schema_and_told_by_a_comment() {
    let folder = chart("boboyka-operator");
    let text = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let schema = std::fs::read_to_string(folder.join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let mut waiting = vec![(String::new(), &values, &schema)];
    while let Some((path, values, schema)) = waiting.pop() {
        let Some(properties) = schema["properties"].as_object() else {
            continue;
        };
        assert_eq!(schema["additionalProperties"], false, "{path}");
        let named: BTreeSet<&String> = values.as_object().unwrap().keys().collect();
        let known: BTreeSet<&String> = properties
            .keys()
            .filter(|key| !["global", "claims"].contains(&key.as_str()))
            .collect();
        assert_eq!(named, known, "{path}");
        for key in named {
            waiting.push((format!("{path}.{key}"), &values[key], &properties[key]));
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2) {
        let is_key = pair[1].trim_start().ends_with(':') || pair[1].contains(": ");
        let below = ["image:", "resources:", "requests:", "limits:"];
        let of_resources = pair[1]
            .trim_start()
            .starts_with(|first: char| first.is_alphabetic())
            && (below.iter().any(|parent| pair[0].trim_start() == *parent)
                || ["cpu", "memory", "limits"]
                    .iter()
                    .any(|key| pair[1].trim_start().starts_with(key))
                || pair[0].trim_start() == "sidecar:");
        if is_key && !pair[1].trim_start().starts_with('#') && !of_resources {
            assert!(
                pair[0].trim_start().starts_with('#'),
                "not told: {}",
                pair[1]
            );
        }
    }
}

#[test]
fn every_alert_asks_for_a_metric_that_there_is() {
    let rendered = template(&MONITORING);
    let rule = find(&rendered, "PrometheusRule", "boboyka-operator").unwrap();
    let read = |place: &str| std::fs::read_to_string(root().join(place)).unwrap();
    let known = read("docs/api.md") + &read("operator/src/metrics/registry.rs");
    let mut alerts = 0;
    for group in rule["spec"]["groups"].as_array().unwrap() {
        for alert in group["rules"].as_array().unwrap() {
            let expression = alert["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let mut metrics = words.filter(|word| word.starts_with("boboyka_")).peekable();
            assert!(metrics.peek().is_some(), "{expression}");
            for metric in metrics {
                assert!(known.contains(metric), "{metric} is nobody's: {expression}");
            }
            for part in ["summary", "description"] {
                assert!(alert["annotations"][part].is_string(), "{alert}");
            }
            alerts += 1;
        }
    }
    assert_eq!(alerts, 10);
}

#[test]
fn the_charts_say_every_name_as_the_programs_do() {
    let text: String = template(&MONITORING)
        .iter()
        .map(ToString::to_string)
        .collect();
    for name in [
        names::INTEGRATION_LABEL,
        names::JOB_LABEL,
        names::STRAND_LABEL,
        names::CONTAINER,
        names::STRAND_VOLUME,
        names::CLAIM_PREFIX,
        names::SIDECAR_ROLE,
    ] {
        assert!(
            text.contains(&format!("'{name}")) || text.contains(&format!("\"{name}\"")),
            "{name}"
        );
    }
    let prefix = format!("'{}/'", names::GROUP);
    assert!(
        text.contains(&prefix),
        "labels and annotations begin with the group's name"
    );
}
