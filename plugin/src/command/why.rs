//! `why`: why a pod is not there, waits, or has no strand.

use anyhow::Result;
use boboyka_crds::names;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::ending::Ending;
use crate::finding;
use crate::reading::{Reader, Scope};
use crate::refusal::Refusal;
use crate::table::paragraph;
use crate::terminal::Terminal;
use crate::why::{Case, answer};

/// Answers for a pod or a workload.
pub(crate) async fn why(reader: &Reader, terminal: &Terminal, name: &str) -> Result<Ending> {
    let case = case(reader, name).await?;
    let answer = answer(&case, Timestamp::now());
    terminal.show(&answer, |width| {
        let head = paragraph(
            &format!("{}/{}: {}", answer.namespace, answer.pod, answer.verdict),
            0,
            width,
        );
        let unread: String = answer
            .unread
            .iter()
            .map(|one| paragraph(&format!("not looked at: {one}"), 0, width))
            .collect();
        head + "\n" + &finding::text(&answer.findings, width) + &unread
    })?;
    if answer.is_wrong() {
        return Ok(Ending::Found);
    }
    let is_whole = answer.unread.is_empty();
    Ok(if is_whole {
        Ending::Well
    } else {
        Ending::Unanswered
    })
}

async fn case(reader: &Reader, name: &str) -> Result<Case> {
    let namespace = reader.one_namespace()?.to_owned();
    // A workload is named as kubectl names it: `deploy/agent`.
    let name = name.rsplit('/').next().unwrap_or(name).to_owned();
    let pod: Option<Pod> = match reader.get(&namespace, &name).await {
        Err(refusal) if !refusal.is_missing() => return Err(refusal.into()),
        found => found.ok(),
    };
    let mut case = Case {
        namespace: namespace.clone(),
        name,
        ..Case::default()
    };
    let scope = Scope::One(namespace.clone());
    case.events = keep(
        reader.list_in(&scope, &ListParams::default()).await,
        &mut case.unread,
    )
    .unwrap_or_default();
    case.events.sort_by_key(when);
    let pod = match pod {
        None if !case.tells_of_a_refusal() => pod_of(reader, &scope, &mut case).await,
        found => found,
    };
    if let Some(pod) = &pod {
        if let Some(integration) = pod.labels().get(names::INTEGRATION_LABEL) {
            case.integration = keep(reader.get(&namespace, integration).await, &mut case.unread);
        }
        if let Some(strand) = pod.annotations().get(names::STRAND_ANNOTATION) {
            case.strand = keep(reader.get(&namespace, strand).await, &mut case.unread);
        }
        let claim = case
            .strand
            .as_ref()
            .and_then(|strand| strand.spec.claim_name.clone());
        if let Some(claim) = claim {
            case.claim = keep(reader.get(&namespace, &claim).await, &mut case.unread);
        }
    }
    case.pod = pod;
    Ok(case)
}

/// A pod of the workload that was named, rather one that is not ready.
async fn pod_of(reader: &Reader, scope: &Scope, case: &mut Case) -> Option<Pod> {
    let pods: Vec<Pod> = keep(
        reader.list_in(scope, &ListParams::default()).await,
        &mut case.unread,
    )?;
    let prefix = format!("{}-", case.name);
    let mut its: Vec<Pod> = pods
        .into_iter()
        .filter(|pod| pod.name_any().starts_with(&prefix))
        .collect();
    its.sort_by_key(is_ready);
    let pod = its.into_iter().next()?;
    case.name = pod.name_any();
    Some(pod)
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status
        .into_iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// What was read; what could not be read is noted, and what does not exist is none.
fn keep<T>(read: Result<T, Refusal>, unread: &mut Vec<String>) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(refusal) if refusal.is_missing() => None,
        Err(refusal) => {
            unread.push(refusal.to_string());
            None
        }
    }
}

fn when(event: &k8s_openapi::api::events::v1::Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .map(|series| series.last_observed_time.0);
    let old = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    series
        .or(event.event_time.as_ref().map(|time| time.0))
        .or(old)
}
