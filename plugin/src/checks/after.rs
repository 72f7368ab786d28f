//! What an installation consists of, and whether it works. Pure.

use boboyka_crds::names;
use kube::ResourceExt as _;
use serde_json::Value;

use super::judgement::{Judgement, failed, passed, read, skipped, warned};
use super::seen::Seen;
use crate::age;
use crate::manifest;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A Lease that was renewed longer ago than this is nobody's, in seconds.
const LEASE: i64 = 60;
/// How to bring an installation to the state of its manifest.
const INSTALL: &str =
    "install the product again: helm upgrade --install, or kubectl boboyka install";

type Judged = Result<Judgement, Judgement>;

/// The definitions are there and served.
pub(super) fn definitions(seen: &Seen) -> Judged {
    let definitions = read(&seen.definitions, INSTALL)?;
    let is_established = |definition: &&Value| {
        let conditions = definition
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|one| one["type"] == "Established" && one["status"] == "True")
    };
    match definitions.iter().find(|one| !is_established(one)) {
        Some(one) => Ok(failed(
            format!("the definition {} is not established", manifest::name(one)),
            format!("kubectl describe crd {} says why", manifest::name(one)),
        )),
        None => Ok(passed(
            "the definitions of integrations and strands are established",
        )),
    }
}

/// The definitions are those of this version.
pub(super) fn definitions_current(seen: &Seen) -> Judged {
    let definitions = read(&seen.definitions, INSTALL)?;
    let schema = |one: &Value| {
        one.pointer("/spec/versions/0/schema/openAPIV3Schema")
            .cloned()
    };
    let wanted = manifest::of_kind("CustomResourceDefinition");
    let other = wanted.iter().find(|wanted| {
        let mut installed = definitions.iter();
        let installed = installed.find(|one| manifest::name(one) == manifest::name(wanted));
        installed.and_then(schema) != schema(wanted)
    });
    match other {
        Some(one) => Ok(warned(
            format!(
                "the definition {} is of another version than this program, {VERSION}",
                manifest::name(one)
            ),
            "use the program of the installed version, or upgrade the chart boboyka-crds first and the operator after it",
        )),
        None => Ok(passed(format!(
            "the definitions are those of version {VERSION}"
        ))),
    }
}

/// Every replica of the operator is ready.
pub(super) fn operator(seen: &Seen) -> Judged {
    let deployment = read(&seen.deployment, INSTALL)?;
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let ready = deployment
        .status
        .as_ref()
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    let message = format!("{ready} of {wanted} replicas of the operator are ready");
    let look = format!(
        "kubectl get pods -n {0}; kubectl logs deployment/boboyka-operator -n {0}",
        seen.home
    );
    match ready {
        0 => Ok(failed(
            message,
            format!("labelled pods can't be created until one is: {look}"),
        )),
        _ if ready < wanted => Ok(warned(message, look)),
        _ => Ok(passed(message)),
    }
}

/// The operator is of this version.
pub(super) fn operator_version(seen: &Seen) -> Judged {
    let deployment = read(&seen.deployment, INSTALL)?;
    let version = deployment.labels().get("app.kubernetes.io/version");
    let Some(version) = version else {
        return Ok(skipped(
            "the Deployment of the operator does not tell its version",
        ));
    };
    if version == VERSION {
        return Ok(passed(format!(
            "the operator is of version {version}, as this program"
        )));
    }
    Ok(warned(
        format!("the operator is of version {version}, this program of {VERSION}"),
        "use the program of the installed version",
    ))
}

/// A replica leads.
pub(super) fn leader(seen: &Seen) -> Judged {
    let lease = read(
        &seen.lease,
        "the operator makes its Lease when it starts: look whether it runs",
    )?;
    let spec = lease.spec.as_ref();
    let holder = spec
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    let ago = renewed.map(|time| seen.now.as_second().saturating_sub(time.0.as_second()));
    let look = format!(
        "kubectl logs deployment/boboyka-operator -n {} says why no replica leads",
        seen.home
    );
    match ago {
        Some(ago) if ago <= LEASE && !holder.is_empty() => Ok(passed(format!("{holder} leads"))),
        Some(ago) if !holder.is_empty() => Ok(failed(
            format!("{holder} has not renewed the Lease for {}", age::short(ago)),
            look,
        )),
        _ => Ok(failed(
            "no replica leads: phases and strands are not managed",
            look,
        )),
    }
}

/// The webhook is configured, and the operator has put its certificate and its path into it.
pub(super) fn webhook(seen: &Seen) -> Judged {
    let configured = read(&seen.webhook, INSTALL)?;
    let hook = configured.webhooks.iter().flatten().next();
    let Some(hook) = hook else {
        return Ok(failed("the webhook configuration has no webhook", INSTALL));
    };
    let look = format!("kubectl logs deployment/boboyka-operator -n {}", seen.home);
    let client = &hook.client_config;
    if client
        .ca_bundle
        .as_ref()
        .is_none_or(|bundle| bundle.0.is_empty())
    {
        return Ok(failed(
            "the operator has not put its certificate into the webhook configuration",
            look,
        ));
    }
    if client
        .service
        .as_ref()
        .is_none_or(|service| service.path.is_none())
    {
        return Ok(failed(
            "the operator has not put its path into the webhook configuration",
            look,
        ));
    }
    if hook.failure_policy.as_deref() != Some("Fail") {
        return Ok(failed(
            "the webhook's failurePolicy is not Fail: labelled pods can start without a sidecar",
            INSTALL,
        ));
    }
    Ok(passed(
        "the webhook has the operator's certificate and path, and fails closed",
    ))
}

/// The webhook's Service leads to a ready replica.
pub(super) fn webhook_service(seen: &Seen) -> Judged {
    let slices = read(&seen.slices, INSTALL)?;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let ready = endpoints.filter(|one| {
        let conditions = one.conditions.as_ref();
        conditions.and_then(|conditions| conditions.ready) != Some(false)
    });
    match ready.count() {
        0 => Ok(failed(
            format!(
                "the Service boboyka-operator in {} leads to no ready pod",
                seen.home
            ),
            format!(
                "kubectl get pods,endpointslices -n {}: the pods must be ready and have the Service's labels",
                seen.home
            ),
        )),
        count => Ok(passed(format!(
            "the webhook's Service leads to {count} pods"
        ))),
    }
}

/// A labelled pod would get a sidecar.
pub(super) fn webhook_answers(seen: &Seen) -> Judged {
    let trial = &seen.trial;
    let place = &trial.namespace;
    let failure = match &trial.pod {
        Ok(pod) if has_sidecar(pod) => {
            return Ok(passed(format!(
                "a labelled pod in namespace {place} would get a sidecar (tried without creating it)"
            )));
        }
        Ok(_) => {
            return Ok(failed(
                format!("a labelled pod in namespace {place} would start without a sidecar"),
                "the webhook configuration must select the namespace and the label: install the product again",
            ));
        }
        Err(refusal) if refusal.is_right() => return Err(skipped(refusal.to_string())),
        Err(refusal) => refusal.to_string(),
    };
    if !trial.has_integration && failure.contains("there is no BoboykaIntegration") {
        return Ok(passed(
            "the webhook answers (it refused a pod without an integration)",
        ));
    }
    let mend = if failure.contains("failed calling webhook") {
        "the API server must reach the operator's pods on port 8443: look at firewalls, NetworkPolicies and the pods"
    } else {
        "do what the message says: new labelled pods are refused like this one"
    };
    Ok(failed(
        format!("a labelled pod in namespace {place} would be refused: {failure}"),
        mend,
    ))
}

fn has_sidecar(pod: &k8s_openapi::api::core::v1::Pod) -> bool {
    let mut inits = pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    inits.any(|container| container.name == names::CONTAINER)
}

/// Every policy is there and bound.
pub(super) fn policies(seen: &Seen) -> Judged {
    let (policies, bindings) = (
        read(&seen.policies, INSTALL)?,
        read(&seen.bindings, INSTALL)?,
    );
    let lacks = |kind: &str, found: &[String]| {
        let wanted = manifest::of_kind(kind)
            .into_iter()
            .map(|one| manifest::name(&one).to_owned());
        let lacking = wanted.filter(|name| !found.contains(name));
        lacking
            .map(|name| format!("{kind} {name}"))
            .collect::<Vec<_>>()
    };
    let lacking = [
        lacks("ValidatingAdmissionPolicy", policies),
        lacks("ValidatingAdmissionPolicyBinding", bindings),
    ]
    .concat();
    if !lacking.is_empty() {
        return Ok(failed(
            format!(
                "missing: {}; nothing protects what they protect",
                lacking.join(", ")
            ),
            INSTALL,
        ));
    }
    let count = manifest::of_kind("ValidatingAdmissionPolicy").len();
    Ok(passed(format!("all {count} policies are there and bound")))
}

/// The sidecars' role is there.
pub(super) fn sidecar_role(seen: &Seen) -> Judged {
    read(&seen.sidecar_role, INSTALL)?;
    Ok(passed(format!(
        "the ClusterRole {} of the sidecars is there",
        names::SIDECAR_ROLE
    )))
}
