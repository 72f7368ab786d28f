//! `check`: what a cluster must have before an installation, and whether an installation works.

use anyhow::Result;
use boboyka_crds::names;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::checks::{self, Outcome, Seen, Trial};
use crate::ending::Ending;
use crate::manifest;
use crate::reading::{Reader, Scope, asked};
use crate::refusal::{Asked, Refusal};
use crate::table::paragraph;
use crate::terminal::Terminal;

/// Where the operator is, and which part to check.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct CheckOptions {
    /// Checks only what a cluster must have before the product is installed.
    #[arg(long)]
    before: bool,
    /// Namespace of the operator, if the webhook configuration can't be read.
    #[arg(long, value_name = "NAME", default_value = "boboyka-system")]
    operator_namespace: String,
}

/// What an installation creates, with its group, and whether it lies in the operator's namespace.
const CREATED: [(&str, &str, bool); 6] = [
    ("customresourcedefinitions", "apiextensions.k8s.io", false),
    ("clusterroles", "rbac.authorization.k8s.io", false),
    ("clusterrolebindings", "rbac.authorization.k8s.io", false),
    (
        "mutatingwebhookconfigurations",
        "admissionregistration.k8s.io",
        false,
    ),
    (
        "validatingadmissionpolicies",
        "admissionregistration.k8s.io",
        false,
    ),
    ("deployments", "apps", true),
];

/// Checks and shows how to mend what fails.
pub(crate) async fn check(
    reader: &Reader,
    terminal: &Terminal,
    options: &CheckOptions,
) -> Result<Ending> {
    let seen = Box::pin(look(reader, &options.operator_namespace)).await;
    let is_absent = seen.is_absent();
    let before = options.before || is_absent;
    let checks = checks::run(&seen, before);
    terminal.show(
        &json!({"installed": !is_absent, "checks": checks}),
        |width| {
            let note = "The product is not installed: these are the checks before an installation.";
            let note = if is_absent && !options.before {
                paragraph(note, 0, width) + "\n"
            } else {
                String::new()
            };
            note + &checks::text(&checks, width)
        },
    )?;
    if seen.version.is_err() {
        return Ok(Ending::Unanswered);
    }
    Ok(Ending::found(checks::count(&checks, Outcome::Failed) > 0))
}

/// Reads everything that the checks look at; `home` is the operator's namespace, if the webhook configuration can't be read.
pub(crate) async fn look(reader: &Reader, home: &str) -> Seen {
    let version = version(reader).await;
    let webhook = reader
        .get_whole::<MutatingWebhookConfiguration>(names::WEBHOOK)
        .await;
    let home = webhook
        .as_ref()
        .ok()
        .and_then(home_of)
        .unwrap_or_else(|| home.to_owned());
    let (nodes, classes, rights, definitions) = tokio::join!(
        reader.list_whole(),
        reader.list_whole(),
        rights(reader, &home),
        definitions(reader)
    );
    let at_home = Scope::One(home.clone());
    let service =
        ListParams::default().labels(&format!("kubernetes.io/service-name={}", names::WEBHOOK));
    let labelled = ListParams::default().labels(names::INTEGRATION_LABEL);
    let (deployment, lease, slices, sidecar_role) = tokio::join!(
        reader.get(&home, names::WEBHOOK),
        reader.get(&home, names::WEBHOOK),
        reader.list_in(&at_home, &service),
        reader.get_whole::<ClusterRole>(names::SIDECAR_ROLE)
    );
    let (policies, bindings, integrations, strands, pods) = tokio::join!(
        reader.list_whole::<ValidatingAdmissionPolicy>(),
        reader.list_whole::<ValidatingAdmissionPolicyBinding>(),
        reader.list(),
        reader.list(),
        reader.list_in(reader.scope(), &labelled)
    );
    Seen {
        server: reader.server().to_owned(),
        version,
        nodes,
        classes,
        rights,
        definitions,
        deployment,
        lease,
        webhook,
        slices,
        policies: policies.map(|list| list.iter().map(ResourceExt::name_any).collect()),
        bindings: bindings.map(|list| list.iter().map(ResourceExt::name_any).collect()),
        sidecar_role: sidecar_role.map(drop),
        trial: trial(reader, &integrations).await,
        integrations,
        strands,
        pods,
        home,
        now: Timestamp::now(),
    }
}

fn home_of(webhook: &MutatingWebhookConfiguration) -> Option<String> {
    let hook = webhook.webhooks.as_ref()?.first()?;
    Some(hook.client_config.service.as_ref()?.namespace.clone())
}

async fn version(reader: &Reader) -> Result<(u32, u32), Refusal> {
    let asked = Asked {
        verb: "get",
        resource: format!("/version of {}", reader.server()),
        namespace: String::new(),
        name: String::new(),
    };
    let client = reader.client();
    let info = reader.ask(asked, client.apiserver_version()).await?;
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    Ok((number(&info.major), number(&info.minor)))
}

async fn definitions(reader: &Reader) -> Result<Vec<Value>, Refusal> {
    let mut found = Vec::new();
    for wanted in manifest::of_kind("CustomResourceDefinition") {
        let one = reader
            .get_whole::<CustomResourceDefinition>(manifest::name(&wanted))
            .await?;
        found.push(json!(one));
    }
    Ok(found)
}

async fn rights(reader: &Reader, home: &str) -> Vec<(String, Result<bool, Refusal>)> {
    let mut rights = Vec::new();
    for (resource, group, is_at_home) in CREATED {
        let namespace = if is_at_home { home } else { "" };
        rights.push((
            resource.to_owned(),
            may_create(reader, resource, group, namespace).await,
        ));
    }
    rights
}

async fn may_create(
    reader: &Reader,
    resource: &str,
    group: &str,
    namespace: &str,
) -> Result<bool, Refusal> {
    let review: SelfSubjectAccessReview =
        serde_json::from_value(json!({"spec": {"resourceAttributes":
        {"verb": "create", "resource": resource, "group": group, "namespace": namespace}}}))
        .unwrap_or_default();
    let api: Api<SelfSubjectAccessReview> = Api::all(reader.client());
    let parameters = PostParams::default();
    let request = api.create(&parameters, &review);
    let answer = reader
        .ask(asked::<SelfSubjectAccessReview>("create", "", ""), request)
        .await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Asks for a labelled pod without keeping it.
async fn trial(
    reader: &Reader,
    integrations: &Result<Vec<boboyka_crds::BoboykaIntegration>, Refusal>,
) -> Trial {
    let integration = integrations.iter().flatten().next();
    let namespace = integration.and_then(ResourceExt::namespace);
    let namespace = namespace.unwrap_or_else(|| match reader.scope() {
        Scope::One(name) => name.clone(),
        Scope::All => "default".to_owned(),
    });
    let name = integration.map_or_else(|| "boboyka-check".to_owned(), ResourceExt::name_any);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "boboyka-check-", "labels": {names::INTEGRATION_LABEL: name}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "check", "image": "boboyka-check", "securityContext":
                {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    }))
    .unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(reader.client(), &namespace);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let request = api.create(&dry, &pod);
    let pod = reader
        .ask(asked::<Pod>("create", &namespace, ""), request)
        .await;
    Trial {
        namespace,
        has_integration: integration.is_some(),
        pod,
    }
}
