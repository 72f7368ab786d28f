//! Why a pod is not there, waits, or has no strand: from the pod and what belongs to it. Pure.

mod case;
mod containers;
mod placing;
mod refused;

use boboyka_crds::names;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

pub(crate) use self::case::Case;
use crate::finding::{Finding, Level};
use crate::standing::{State, standing};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// The reason in a sentence.
    pub(crate) verdict: String,
    pub(crate) findings: Vec<Finding>,
    /// What could not be read: the answer may lack its reason.
    pub(crate) unread: Vec<String>,
}

/// Finds out why.
pub(crate) fn answer(case: &Case, now: Timestamp) -> Answer {
    let findings = match &case.pod {
        None => vec![refused::no_pod(case)],
        Some(pod) => about(case, pod, now),
    };
    let worst = |level| findings.iter().find(|one| one.level == level);
    let reason = worst(Level::Bad).or_else(|| worst(Level::Odd));
    let verdict = reason.map_or_else(
        || "nothing is wrong with it".to_owned(),
        |reason| reason.what.clone(),
    );
    Answer {
        namespace: case.namespace.clone(),
        pod: case.name.clone(),
        verdict,
        findings,
        unread: case.unread.clone(),
    }
}

impl Answer {
    /// Whether something is wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        self.findings.iter().any(|one| one.level == Level::Bad)
    }
}

fn about(case: &Case, pod: &Pod, now: Timestamp) -> Vec<Finding> {
    let Some(integration) = pod.labels().get(names::INTEGRATION_LABEL) else {
        return vec![unlabelled(case, pod)];
    };
    let mut findings = vec![of_integration(case, integration)];
    if !has_sidecar(pod) {
        findings.push(without_sidecar(case, pod));
        return findings;
    }
    findings.extend(of_strand(case, pod));
    findings.extend(placing::of_claim(case));
    findings.push(placing::of_schedule(case, pod));
    findings.extend(containers::of_containers(case, pod));
    findings.extend(as_reported(case, pod, now));
    findings
}

fn unlabelled(case: &Case, pod: &Pod) -> Finding {
    let owner = pod.owner_references().first();
    let whose = owner.map_or_else(
        || "the pod; a pod gets its sidecar only when it is created".to_owned(),
        |owner| {
            format!(
                "the pod template of the workload above {} {}",
                owner.kind, owner.name
            )
        },
    );
    Finding::bad(
        format!(
            "it does not have the label {}, so it gets no sidecar",
            names::INTEGRATION_LABEL
        ),
        format!(
            "add `{}: NAME` to the labels of {whose}; kubectl get bbi -n {} lists the names",
            names::INTEGRATION_LABEL,
            case.namespace
        ),
    )
}

fn of_integration(case: &Case, name: &str) -> Finding {
    if case.integration.is_some() {
        return Finding::good(format!("it belongs to BoboykaIntegration {name}"));
    }
    if case
        .unread
        .iter()
        .any(|sentence| sentence.contains("boboykaintegrations"))
    {
        return Finding::odd(
            format!("it says that it belongs to BoboykaIntegration {name}"),
            "",
        );
    }
    Finding::bad(
        format!(
            "its label names BoboykaIntegration {name}, which does not exist in namespace {}",
            case.namespace
        ),
        format!(
            "create it, or correct the label {} of the pod template",
            names::INTEGRATION_LABEL
        ),
    )
}

fn has_sidecar(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let inits = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let all = inits.chain(spec.into_iter().flat_map(|spec| &spec.containers));
    all.into_iter()
        .any(|container| container.name == names::CONTAINER)
}

fn without_sidecar(case: &Case, pod: &Pod) -> Finding {
    Finding::bad(
        "it has the label but no sidecar: it was created while the webhook was not installed, or the label came later",
        format!(
            "kubectl boboyka check, and then kubectl delete pod {} -n {}, so that its workload creates it anew",
            pod.name_any(),
            case.namespace
        ),
    )
}

fn of_strand(case: &Case, pod: &Pod) -> Option<Finding> {
    let name = pod.annotations().get(names::STRAND_ANNOTATION)?;
    let Some(strand) = &case.strand else {
        let is_unread = case
            .unread
            .iter()
            .any(|sentence| sentence.contains("boboykastrands"));
        return (!is_unread).then(|| {
            Finding::bad(
                format!("its strand {name} does not exist: the operator creates it as soon as it sees the pod"),
                "kubectl boboyka check shows whether the operator works",
            )
        });
    };
    let holder = strand.spec.holder.as_ref();
    let holder_uid = holder.and_then(|holder| holder.pod_uid.as_ref());
    if holder_uid.is_some() && holder_uid == pod.metadata.uid.as_ref() {
        return Some(Finding::good(format!("it holds strand {name}")));
    }
    Some(match holder.and_then(|holder| holder.pod_name.as_deref()) {
        Some(other) => Finding::bad(
            format!(
                "its strand {name} is still held by pod {other}: a strand has one holder at a time"
            ),
            format!(
                "kubectl get pod {other} -n {0}: the strand is free as soon as that pod is gone",
                case.namespace
            ),
        ),
        None => Finding::bad(
            format!(
                "strand {name} is not bound to it yet: the operator binds it as soon as it sees the pod"
            ),
            "kubectl boboyka check shows whether the operator works",
        ),
    })
}

/// What the strand says of the pod that holds it.
fn as_reported(case: &Case, pod: &Pod, now: Timestamp) -> Option<Finding> {
    let strand = case.strand.as_ref()?;
    let uid = strand.spec.holder.as_ref()?.pod_uid.as_ref();
    if uid != pod.metadata.uid.as_ref() {
        return None;
    }
    let standing = standing(strand, case.integration.as_ref(), now);
    // The command to run next would be this one.
    let next = Some(standing.next)
        .filter(|next| !next.contains("boboyka why"))
        .unwrap_or_default();
    let what = format!("its strand is {:?}: {}", standing.state, standing.why);
    if standing.state == State::Free {
        None
    } else if standing.state == State::Ready {
        Some(Finding::good("its sidecar reports that it accepts records"))
    } else if standing.state.is_wrong() {
        Some(Finding::bad(what, next))
    } else {
        Some(Finding::odd(what, next))
    }
}

#[cfg(test)]
mod tests;
