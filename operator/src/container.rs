//! The sidecar's container and volumes, for the pods that it is injected into and for the Jobs of the operator. Pure.
//!
//! The container meets the restricted Pod Security Standard by itself, whatever the pod sets.

use boboyka_crds::names;
use serde_json::{Value, json};

use crate::integration::{Storage, Validated};

/// The user and group that the sidecar runs as, and no image of others: a process of the same user could read its memory
/// and its files. Not the user of its own image, 65532, which is that of many.
pub(crate) const USER: u32 = 747_475;
/// Where the strand's volume is mounted.
const VOLUME_DIR: &str = "/var/lib/boboyka";
/// The strand's folder on it. The root of a file system has folders of its own, such as lost+found.
pub(crate) const DATA_DIR: &str = "/var/lib/boboyka/strand";
/// Where Supabase's URL and key are mounted.
const SUPABASE_DIR: &str = "/var/run/secrets/boboyka-supabase";
/// Below which the Secret of the archive is mounted, as a folder with its name.
const ARCHIVE_SECRETS_DIR: &str = "/var/run/secrets/boboyka-archive";
/// Where Kubernetes clients look for the pod's token.
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Lifetime of the pod-bound token in seconds; the kubelet renews it earlier.
const TOKEN_SECONDS: u32 = 3600;
/// How long an ephemeral strand is still mirrored after SIGTERM, in seconds: within the usual grace period of 30 s.
const EPHEMERAL_DRAIN_SECONDS: u32 = 20;

/// The container as a native sidecar: it starts before all other containers and ends after them.
pub(crate) fn sidecar(integration: &Validated, strand: &str) -> Value {
    let traces = integration.traces.variables();
    let traces = traces.map(|(name, value)| json!({"name": name, "value": value}));
    let archive = integration.archive_secret();
    let secrets = archive
        .map(|_| json!({"name": names::ARCHIVE_SECRETS_VARIABLE, "value": ARCHIVE_SECRETS_DIR}));
    let mut container = container(integration, strand, traces.chain(secrets));
    let mounts = container.get_mut("volumeMounts");
    if let (Some(name), Some(Value::Array(mounts))) = (archive, mounts) {
        let path = format!("{ARCHIVE_SECRETS_DIR}/{name}");
        mounts.push(json!({"name": names::ARCHIVE_VOLUME, "mountPath": path, "readOnly": true}));
    }
    merge(
        &mut container,
        json!({
            "restartPolicy": "Always",
            // The app's containers start as soon as the store is open; a startup probe would look only once a second.
            "lifecycle": {"postStart": {"exec": {"command": ["/boboyka-sidecar", "wait"]}}},
            "readinessProbe": {
                "httpGet": {"path": "/ready", "port": names::OBSERVE_PORT},
                "periodSeconds": 5, "timeoutSeconds": 3,
            },
        }),
    );
    container
}

/// The container of a Job: it runs a command of the image and ends. What `listens` has the health port.
pub(crate) fn of_job(
    integration: &Validated,
    strand: &str,
    arguments: &[&str],
    listens: bool,
) -> Value {
    let mut container = container(integration, strand, std::iter::empty());
    merge(&mut container, json!({ "args": arguments }));
    if let Some(fields) = container.as_object_mut().filter(|_| !listens) {
        fields.remove("livenessProbe");
        fields.remove("ports");
    }
    container
}

/// `more` are variables besides those that every sidecar has.
fn container(integration: &Validated, strand: &str, more: impl Iterator<Item = Value>) -> Value {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let value = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut environment = vec![
        field(names::NAMESPACE_VARIABLE, "metadata.namespace"),
        field(names::POD_UID_VARIABLE, "metadata.uid"),
        value(names::INTEGRATION_VARIABLE, &integration.name),
        value(names::STRAND_VARIABLE, strand),
        value(names::DATA_DIR_VARIABLE, DATA_DIR),
        value(
            names::OBSERVE_VARIABLE,
            &format!("[::]:{}", names::OBSERVE_PORT),
        ),
    ];
    let mut mounts = vec![
        json!({"name": names::STRAND_VOLUME, "mountPath": VOLUME_DIR}),
        json!({"name": names::TOKEN_VOLUME, "mountPath": TOKEN_DIR, "readOnly": true}),
    ];
    if integration.secret.is_some() {
        environment.push(value(names::SUPABASE_DIR_VARIABLE, SUPABASE_DIR));
        mounts.push(
            json!({"name": names::SUPABASE_VOLUME, "mountPath": SUPABASE_DIR, "readOnly": true}),
        );
    }
    if matches!(integration.storage, Storage::Ephemeral { .. }) {
        let seconds = EPHEMERAL_DRAIN_SECONDS.to_string();
        environment.push(value(names::DRAIN_SECONDS_VARIABLE, &seconds));
    }
    environment.extend(more);
    let mut context = json!({
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "privileged": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if !integration.assigned_user {
        merge(&mut context, json!({"runAsUser": USER, "runAsGroup": USER}));
    }
    json!({
        "name": names::CONTAINER,
        "image": integration.image,
        "imagePullPolicy": integration.pull_policy,
        "env": environment,
        "ports": [{"name": "boboyka-observe", "containerPort": names::OBSERVE_PORT, "protocol": "TCP"}],
        "volumeMounts": mounts,
        "resources": integration.resources,
        "livenessProbe": {
            "httpGet": {"path": "/live", "port": names::OBSERVE_PORT},
            "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6,
        },
        "securityContext": context,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// The volumes that the sidecar mounts. A Job archives nothing and has no Secret for it.
pub(crate) fn volumes_of_pod(integration: &Validated, strand: &str) -> Vec<Value> {
    let mut volumes = volumes(integration, strand);
    // Optional, as that of Supabase.
    let secret = integration.archive_secret();
    volumes.extend(secret.map(|name| {
        json!({"name": names::ARCHIVE_VOLUME, "secret": {
            "secretName": name, "optional": true, "defaultMode": 0o444,
        }})
    }));
    volumes
}

/// The volumes that every container mounts.
pub(crate) fn volumes(integration: &Validated, strand: &str) -> Vec<Value> {
    let strand = match &integration.storage {
        Storage::Claim { .. } => json!({
            "name": names::STRAND_VOLUME,
            "persistentVolumeClaim": {"claimName": names::claim_of(strand)},
        }),
        Storage::Ephemeral { size_limit } => json!({
            "name": names::STRAND_VOLUME, "emptyDir": {"sizeLimit": size_limit},
        }),
    };
    let token = json!({"name": names::TOKEN_VOLUME, "projected": {"defaultMode": 0o444, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]}});
    let mut volumes = vec![strand, token];
    if let Some(secret) = &integration.secret {
        // Optional: a missing Secret must not keep pods from starting; the sidecar reports it.
        volumes.push(json!({"name": names::SUPABASE_VOLUME, "secret": {
            "secretName": secret.name, "optional": true, "defaultMode": 0o444,
            "items": [
                {"key": secret.url_key, "path": "url"},
                {"key": secret.key_key, "path": "key"},
                {"key": "ca.crt", "path": "ca.crt"},
                {"key": "proxy", "path": "proxy"},
            ],
        }}));
    }
    volumes
}

/// The Secrets to pull the container's image with.
pub(crate) fn pull_secrets(integration: &Validated) -> Vec<Value> {
    let names = integration.pull_secrets.iter();
    names.map(|name| json!({"name": name})).collect()
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::tests::validated;

    #[test]
    fn the_container_keeps_to_the_restricted_standard_and_names_no_secret_value() {
        let integration = validated(
            &json!({"supabase": {"secretRef": {"name": "s", "urlKey": "U", "keyKey": "K"}}}),
        );
        let container = sidecar(&integration, "boboyka-0");
        let context = &container["securityContext"];
        assert_eq!(context["runAsNonRoot"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["restartPolicy"], "Always");
        let volumes = volumes(&integration, "boboyka-0");
        assert_eq!(
            volumes[0]["persistentVolumeClaim"]["claimName"],
            "boboyka-strand-boboyka-0"
        );
        assert_eq!(
            volumes[2]["secret"]["items"][1],
            json!({"key": "K", "path": "key"})
        );
        assert_eq!(volumes[2]["secret"]["optional"], true);
    }

    #[test]
    fn traces_go_where_the_operators_go_and_a_job_has_none() {
        let mut integration = validated(&json!({}));
        let environment = |container: Value| container["env"].to_string();
        let before = environment(sidecar(&integration, "x"));
        assert!(!before.contains("OTEL_"), "{before}");
        integration.traces.otlp_endpoint = Some("http://collector:4318".parse().unwrap());
        integration.traces.trace_ratio = 0.25;
        let after = sidecar(&integration, "x");
        let variable = |name: &str, value: &str| json!({"name": name, "value": value});
        let has = |one: Value| after["env"].as_array().unwrap().contains(&one);
        assert!(has(variable(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4318"
        )));
        assert!(has(variable("OTEL_TRACES_SAMPLER_ARG", "0.25")));
        // A policy lets no Job have such variables.
        let job = environment(of_job(&integration, "x", &["drain"], true));
        assert!(!job.contains("OTEL_"), "{job}");
    }

    #[test]
    fn the_secret_of_an_archive_is_a_folder_with_its_name_and_a_job_has_none() {
        let integration = validated(&json!({
            "archive": {"url": "s3://bucket/strands", "secretRef": {"name": "keys"}},
        }));
        let mount = json!({
            "name": "boboyka-archive", "readOnly": true, "mountPath": "/var/run/secrets/boboyka-archive/keys",
        });
        let container = sidecar(&integration, "x");
        assert!(
            container["volumeMounts"]
                .as_array()
                .unwrap()
                .contains(&mount)
        );
        let variable =
            json!({"name": "BOBOYKA_ARCHIVE_SECRETS", "value": "/var/run/secrets/boboyka-archive"});
        assert!(container["env"].as_array().unwrap().contains(&variable));
        let volumes = volumes_of_pod(&integration, "x");
        let secret = &volumes.last().unwrap()["secret"];
        assert_eq!(secret["secretName"], "keys");
        assert_eq!(secret["optional"], true);
        // A policy lets no Job mount it.
        let job = of_job(&integration, "x", &["drain"], true).to_string();
        let theirs = json!(super::volumes(&integration, "x")).to_string();
        assert!(!(job + &theirs).contains("archive"));
        let keyless = validated(&json!({"archive": {"url": "s3://bucket"}}));
        let container = sidecar(&keyless, "x").to_string();
        assert!(!container.contains("archive"), "{container}");
    }

    #[test]
    fn where_the_cluster_chooses_users_the_container_names_none() {
        let mut integration = validated(&json!({}));
        assert_eq!(
            sidecar(&integration, "x")["securityContext"]["runAsUser"],
            USER
        );
        integration.assigned_user = true;
        let context = &sidecar(&integration, "x")["securityContext"];
        assert!(context["runAsUser"].is_null() && context["runAsGroup"].is_null());
        assert_eq!(context["runAsNonRoot"], true);
    }

    #[test]
    fn an_ephemeral_strand_is_mirrored_before_it_goes() {
        let integration = validated(&json!({
            "supabase": {"secretRef": {"name": "s"}}, "storage": {"ephemeral": {"sizeLimit": "2Gi"}},
        }));
        assert_eq!(
            volumes(&integration, "x")[0]["emptyDir"]["sizeLimit"],
            "2Gi"
        );
        let environment = sidecar(&integration, "x")["env"].to_string();
        assert!(environment.contains(names::DRAIN_SECONDS_VARIABLE));
    }
}
