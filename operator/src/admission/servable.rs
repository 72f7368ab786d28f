//! Which pods can't be served, before anything is chosen for them. Pure.

use boboyka_crds::names;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

/// Why a pod can't be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unservable {
    #[error("it runs on Windows, and the sidecar's image is for Linux")]
    Windows,
    #[error(
        "it mirrors a static pod, which no webhook can change: make it a Deployment or a DaemonSet"
    )]
    Mirror,
    #[error(
        "{what}: change that, or accept it by the annotation {name}: {word} of the pod",
        name = names::ALLOW_ANNOTATION
    )]
    Exposed {
        what: &'static str,
        word: &'static str,
    },
    #[error(
        "only the operator may set {0}: remove it from the pod template, or make a copy of the pod without the label {label}",
        label = names::INTEGRATION_LABEL
    )]
    Forged(String),
}

/// Ports of the sidecar: its API and its health port.
const PORTS: [u64; 2] = [7475, names::OBSERVE_PORT as u64];

/// What gives others access to the sidecar: the word that accepts it, what it means, and whether a specification has it.
type Exposure = (&'static str, &'static str, fn(&Value) -> bool);

const EXPOSURES: [Exposure; 3] = [
    (
        "hostNetwork",
        "with spec.hostNetwork every process of the node reaches the sidecar's API",
        |spec| is_true(spec, "/hostNetwork"),
    ),
    (
        "shareProcessNamespace",
        "with spec.shareProcessNamespace other containers see the sidecar's processes and files",
        |spec| is_true(spec, "/shareProcessNamespace"),
    ),
    (
        "hostPort",
        "a hostPort 7475 or 7476 leads from the node to the sidecar",
        has_host_port,
    ),
];

/// Checks that a pod brings nothing of the operator's, and that a sidecar can serve it and nobody else.
///
/// # Errors
/// [`Unservable`]: the first reason against it.
pub(super) fn check(pod: &DynamicObject) -> Result<(), Unservable> {
    let spec = pod.data.get("spec").unwrap_or(&Value::Null);
    if let Some(what) = forged(pod, spec) {
        return Err(Unservable::Forged(what));
    }
    if is_windows(spec) {
        return Err(Unservable::Windows);
    }
    if pod
        .annotations()
        .contains_key("kubernetes.io/config.mirror")
    {
        return Err(Unservable::Mirror);
    }
    let allowed = pod.annotations().get(names::ALLOW_ANNOTATION);
    let is_allowed = |word: &str| {
        let mut words = allowed.into_iter().flat_map(|text| text.split(','));
        words.any(|allowed| allowed.trim() == word)
    };
    let mut exposures = EXPOSURES.iter();
    let found = exposures.find(|(word, _, shows)| shows(spec) && !is_allowed(word));
    match found {
        Some((word, what, _)) => Err(Unservable::Exposed { what, word }),
        None => Ok(()),
    }
}

/// What a pod brings that only the operator may give it. The operator changes a pod once, so none has it before.
fn forged(pod: &DynamicObject, spec: &Value) -> Option<String> {
    let mut annotations = pod.annotations().keys();
    let ours = format!("{}/", names::GROUP);
    let annotation =
        annotations.find(|name| name.starts_with(&ours) && *name != names::ALLOW_ANNOTATION);
    if let Some(name) = annotation {
        return Some(format!("metadata.annotations[{name}]"));
    }
    let names_of = |lists: &[&str]| {
        let lists = lists.iter().filter_map(|list| spec.get(list)?.as_array());
        let names = lists.flatten().filter_map(|one| one.get("name")?.as_str());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let containers = names_of(&["initContainers", "containers", "ephemeralContainers"]);
    if containers.iter().any(|name| name == names::CONTAINER) {
        return Some(format!("a container named {}", names::CONTAINER));
    }
    let volumes = [
        names::STRAND_VOLUME,
        names::SUPABASE_VOLUME,
        names::ARCHIVE_VOLUME,
        names::TOKEN_VOLUME,
    ];
    let volume = names_of(&["volumes"])
        .into_iter()
        .find(|name| volumes.contains(&name.as_str()));
    volume.map(|name| format!("a volume named {name}"))
}

fn is_true(spec: &Value, path: &str) -> bool {
    spec.pointer(path) == Some(&Value::Bool(true))
}

fn is_windows(spec: &Value) -> bool {
    let selected = spec
        .get("nodeSelector")
        .and_then(|labels| labels.get("kubernetes.io/os"));
    [spec.pointer("/os/name"), selected].contains(&Some(&"windows".into()))
}

fn has_host_port(spec: &Value) -> bool {
    let lists = ["initContainers", "containers"]
        .iter()
        .filter_map(|list| spec.get(list)?.as_array());
    let ports = lists
        .flatten()
        .filter_map(|one| one.get("ports")?.as_array());
    let mut ports = ports
        .flatten()
        .filter_map(|one| one.get("hostPort")?.as_u64());
    ports.any(|port| PORTS.contains(&port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(value: &Value) -> Result<(), Unservable> {
        check(&serde_json::from_value(value.clone()).unwrap())
    }

    #[test]
    fn what_only_we_may_give_is_a_forgery() {
        let annotated = |name: &str| json!({"metadata": {"annotations": {name: "x"}}, "spec": {}});
        for value in [
            annotated(names::STRAND_ANNOTATION),
            annotated(names::TOKEN_ANNOTATION),
            annotated(names::SLOT_ANNOTATION),
            annotated("boboyka.sapixdb.com/of-tomorrow"),
            json!({"metadata": {}, "spec": {"containers": [{"name": "boboyka-sidecar"}]}}),
            json!({"metadata": {}, "spec": {"initContainers": [{"name": "boboyka-sidecar"}]}}),
            json!({"metadata": {}, "spec": {"volumes": [{"name": "boboyka-token"}]}}),
            // A copy of a whole pod.
            json!({"metadata": {"annotations": {names::STRAND_ANNOTATION: "i-0", names::TOKEN_ANNOTATION: "t"}},
                "spec": {"initContainers": [{"name": "boboyka-sidecar"}]}}),
        ] {
            let refused = checked(&value);
            assert!(matches!(refused, Err(Unservable::Forged(_))), "{value}");
        }
        assert_eq!(
            checked(&json!({"metadata": {"annotations": {"mine": "1"}}, "spec": {}})),
            Ok(())
        );
    }

    #[test]
    fn what_no_sidecar_can_serve_is_refused() {
        let windows = [
            json!({"os": {"name": "windows"}}),
            json!({"nodeSelector": {"kubernetes.io/os": "windows"}}),
        ];
        for spec in windows {
            let pod = json!({"metadata": {}, "spec": spec});
            assert_eq!(checked(&pod), Err(Unservable::Windows));
        }
        let mirror =
            json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "h"}}, "spec": {}});
        assert_eq!(checked(&mirror), Err(Unservable::Mirror));
        assert_eq!(
            checked(&json!({"metadata": {}, "spec": {"os": {"name": "linux"}}})),
            Ok(())
        );
    }

    #[test]
    fn what_exposes_the_sidecar_is_refused_unless_it_is_allowed_by_name() {
        for (word, spec) in [
            ("hostNetwork", json!({"hostNetwork": true})),
            (
                "shareProcessNamespace",
                json!({"shareProcessNamespace": true}),
            ),
            (
                "hostPort",
                json!({"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 80, "hostPort": 7476}]}]}),
            ),
        ] {
            let mut pod = json!({"metadata": {}, "spec": spec});
            let said = checked(&pod).unwrap_err().to_string();
            assert!(
                said.contains(&format!("boboyka.sapixdb.com/allow: {word}")),
                "{said}"
            );
            pod["metadata"]["annotations"] = json!({names::ALLOW_ANNOTATION: "other"});
            assert!(checked(&pod).is_err());
            pod["metadata"]["annotations"] =
                json!({names::ALLOW_ANNOTATION: format!("other, {word}")});
            assert_eq!(checked(&pod), Ok(()));
        }
        let harmless = json!({"metadata": {}, "spec": {"hostNetwork": false,
            "containers": [{"ports": [{"containerPort": 7475, "hostPort": 80}]}]}});
        assert_eq!(checked(&harmless), Ok(()));
    }
}
