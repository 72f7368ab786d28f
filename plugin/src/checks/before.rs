//! What a cluster must have before the product is installed. Pure.

use kube::ResourceExt as _;

use super::judgement::{Judgement, failed, passed, read, skipped, warned};
use super::seen::Seen;

/// The oldest minor version of Kubernetes 1 that has what the product needs.
const MINOR_MIN: u32 = 33;
/// What the images are built for.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
/// Marks the storage class of claims that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

type Judged = Result<Judgement, Judgement>;

/// The API server answers.
pub(super) fn api_server(seen: &Seen) -> Judged {
    read(&seen.version, "")?;
    Ok(passed(format!("{} answers", seen.server)))
}

/// Kubernetes is new enough.
pub(super) fn kubernetes_version(seen: &Seen) -> Judged {
    let (major, minor) = *read(&seen.version, "")?;
    let version = format!("the cluster runs Kubernetes {major}.{minor}");
    if (major, minor) < (1, MINOR_MIN) {
        return Ok(failed(
            version,
            format!(
                "upgrade the cluster to 1.{MINOR_MIN} or later: the sidecars are native sidecars"
            ),
        ));
    }
    Ok(passed(version))
}

/// The API server has admission policies.
pub(super) fn admission_policies(seen: &Seen) -> Judged {
    let mend = "enable the API admissionregistration.k8s.io/v1: without policies anybody with `edit` can change strands";
    read(&seen.policies, mend)?;
    Ok(passed("the API server has ValidatingAdmissionPolicies"))
}

/// Nodes can run the images.
pub(super) fn nodes(seen: &Seen) -> Judged {
    let nodes = read(&seen.nodes, "")?;
    let runs = |node: &&k8s_openapi::api::core::v1::Node| {
        let label = |name: &str| {
            node.labels()
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        label("kubernetes.io/os") == "linux" && ARCHITECTURES.contains(&label("kubernetes.io/arch"))
    };
    let (able, all) = (nodes.iter().filter(runs).count(), nodes.len());
    let message = format!("{able} of {all} nodes run Linux on amd64 or arm64");
    match able {
        0 => Ok(failed(message, "add a node that the images are built for")),
        _ if able < all => Ok(warned(
            message,
            "keep labelled pods away from the others by a node selector",
        )),
        _ => Ok(passed(message)),
    }
}

/// There is a storage class for strands.
pub(super) fn storage_class(seen: &Seen) -> Judged {
    let classes = read(&seen.classes, "")?;
    let default = classes.iter().find(|class| is_default(class));
    match default {
        Some(class) => Ok(passed(format!(
            "the default storage class is {}",
            class.name_any()
        ))),
        None if classes.is_empty() => Ok(failed(
            "there is no storage class",
            "install a storage driver with a class, or use spec.storage.ephemeral, which loses strands with their pods",
        )),
        None => Ok(warned(
            "no storage class is the default one",
            "name one in spec.storage.storageClassName of each integration",
        )),
    }
}

/// Volumes of strands can grow.
pub(super) fn volume_expansion(seen: &Seen) -> Judged {
    let classes = read(&seen.classes, "")?;
    let class = classes.iter().find(|class| is_default(class));
    let Some(class) = class else {
        return Ok(skipped("there is no default storage class"));
    };
    let name = class.name_any();
    if class.allow_volume_expansion == Some(true) {
        return Ok(passed(format!("volumes of class {name} can grow")));
    }
    Ok(warned(
        format!("volumes of class {name} can't grow: spec.storage.size can't be increased later"),
        format!(
            "set allowVolumeExpansion of class {name} if its driver can, or choose spec.storage.size and spec.retention with care"
        ),
    ))
}

fn is_default(class: &k8s_openapi::api::storage::v1::StorageClass) -> bool {
    class
        .annotations()
        .get(DEFAULT_CLASS)
        .is_some_and(|value| value == "true")
}

/// The user may create what an installation consists of.
pub(super) fn may(seen: &Seen, resource: &str) -> Judged {
    let found = seen.rights.iter().find(|(name, _)| name == resource);
    let Some((_, right)) = found else {
        return Ok(skipped(format!(
            "the right to create {resource} was not asked for"
        )));
    };
    if *read(right, "")? {
        return Ok(passed(format!("you may create {resource}")));
    }
    Ok(failed(
        format!("you may not create {resource}"),
        "ask an administrator of the cluster for this right, or let an administrator install the product",
    ))
}
