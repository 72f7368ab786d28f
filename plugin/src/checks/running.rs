//! Whether integrations, strands and pods are well. Pure.

use boboyka_crds::names;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::judgement::{Judgement, failed, passed, read, skipped, warned};
use super::seen::Seen;
use crate::fleet::{Integration, standings};
use crate::standing::State;

/// How many objects a message names.
const NAMED: usize = 3;

type Judged = Result<Judgement, Judgement>;

/// Every integration is ready.
pub(super) fn integrations(seen: &Seen) -> Judged {
    let integrations: Vec<_> = read(&seen.integrations, "")?
        .iter()
        .map(Integration::new)
        .collect();
    let unready: Vec<String> = integrations
        .iter()
        .filter(|one| one.ready != Some(true))
        .map(|one| format!("{} ({})", one.full_name(), one.message))
        .collect();
    match (integrations.len(), unready.len()) {
        (0, _) => Ok(skipped(
            "there is no BoboykaIntegration here; -A looks in all namespaces",
        )),
        (all, 0) => Ok(passed(format!("all {all} integrations are ready"))),
        (all, _) => Ok(failed(
            format!(
                "{} of {all} integrations are not ready: {}",
                unready.len(),
                some(&unready)
            ),
            "kubectl boboyka status shows what each waits for",
        )),
    }
}

/// No strand needs somebody.
pub(super) fn strands(seen: &Seen) -> Judged {
    let (integrations, strands) = (read(&seen.integrations, "")?, read(&seen.strands, "")?);
    let standings = standings(integrations, strands, seen.now);
    let told = |which: fn(State) -> bool| -> Vec<String> {
        let meant = standings.iter().filter(|one| which(one.state));
        let told = meant.map(|one| {
            format!(
                "{}/{} ({:?}: {})",
                one.namespace, one.name, one.state, one.why
            )
        });
        told.collect()
    };
    let wrong = told(State::is_wrong);
    let fenced = told(|state| state == State::Fenced);
    match (strands.len(), wrong.len()) {
        (0, _) => Ok(skipped("there is no strand yet")),
        (all, 0) if !fenced.is_empty() => Ok(warned(
            format!(
                "{} of {all} strands are fenced: {}",
                fenced.len(),
                some(&fenced)
            ),
            "kubectl boboyka unfence STRAND gives one back to pods",
        )),
        (all, 0) => Ok(passed(format!("all {all} strands are well"))),
        (all, _) => Ok(failed(
            format!(
                "{} of {all} strands are not well: {}",
                wrong.len(),
                some(&wrong)
            ),
            "kubectl boboyka status shows the worst with the next step",
        )),
    }
}

/// Every labelled pod has its sidecar.
pub(super) fn pods_have_sidecars(seen: &Seen) -> Judged {
    let pods = read(&seen.pods, "")?;
    let bare: Vec<String> = pods
        .iter()
        .filter(|pod| !has_sidecar(pod))
        .map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()))
        .collect();
    match (pods.len(), bare.len()) {
        (0, _) => Ok(skipped("there is no labelled pod")),
        (all, 0) => Ok(passed(format!("all {all} labelled pods have a sidecar"))),
        (all, _) => Ok(failed(
            format!(
                "{} of {all} labelled pods have no sidecar: {}",
                bare.len(),
                some(&bare)
            ),
            "delete them, so that their workloads create them anew; they record nothing until then",
        )),
    }
}

fn has_sidecar(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let inits = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let mut all = inits.chain(spec.into_iter().flat_map(|spec| &spec.containers));
    // A drain is a sidecar without an agent.
    all.any(|container| container.name == names::CONTAINER)
}

/// Every sidecar runs what its integration asks for.
pub(super) fn sidecars_current(seen: &Seen) -> Judged {
    let integrations = read(&seen.integrations, "")?;
    let conditions = integrations.iter().filter_map(|one| {
        let conditions = &one.status.as_ref()?.conditions;
        let found = conditions
            .iter()
            .find(|one| one.type_ == "SidecarsUpToDate")?;
        Some((
            format!("{}/{}", one.namespace().unwrap_or_default(), one.name_any()),
            found,
        ))
    });
    let conditions: Vec<_> = conditions.collect();
    let behind: Vec<String> = conditions
        .iter()
        .filter(|(_, condition)| condition.status != "True")
        .map(|(name, condition)| format!("{name} ({})", condition.message))
        .collect();
    match (conditions.len(), behind.len()) {
        (0, _) => Ok(skipped("no integration tells of its sidecars yet")),
        (_, 0) => Ok(passed(
            "every sidecar runs the image, the Secret and the resources that its integration asks for",
        )),
        _ => Ok(warned(
            some(&behind),
            "kubectl boboyka status; the message says what moves them",
        )),
    }
}

fn some(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    first.join(", ") + &more
}
