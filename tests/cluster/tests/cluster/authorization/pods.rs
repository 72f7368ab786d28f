//! Pods, and what is mounted in them.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{Caller, assert_refused, dry, tenancy};
use crate::shared::run;

/// A pod as it comes from the webhook.
pub(super) fn injected() -> Value {
    json!({
        "metadata": {
            "name": "agent", "labels": {"app": "agent", "boboyka.sapixdb.com/integration": "boboyka"},
            "annotations": {"boboyka.sapixdb.com/strand": "boboyka-0", "boboyka.sapixdb.com/admission": "t"},
        },
        "spec": {
            "initContainers": [
                {"name": "boboyka-sidecar", "image": "sidecar:1", "restartPolicy": "Always",
                 "volumeMounts": [{"name": "boboyka-strand", "mountPath": "/var/lib/boboyka"}]},
                {"name": "setup", "image": "setup"},
            ],
            "containers": [{"name": "app", "image": "app:1"}],
            "volumes": [{"name": "boboyka-strand", "persistentVolumeClaim": {"claimName": "boboyka-strand-boboyka-0"}}],
        },
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = injected();
    change(&mut pod);
    pod
}

/// A pod with init containers before the sidecar, each native or not.
fn before(others: &[(&str, bool)]) -> Value {
    with(|pod| {
        let list = pod["spec"]["initContainers"].as_array_mut().unwrap();
        for (place, (name, is_native)) in others.iter().enumerate() {
            let mut container = json!({"name": name, "image": "mesh"});
            if *is_native {
                container["restartPolicy"] = json!("Always");
            }
            list.insert(place, container);
        }
    })
}

pub(super) fn mount() -> Value {
    json!([{"name": "boboyka-strand", "mountPath": "/stolen"}])
}

fn bare() -> Value {
    json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "app", "image": "app"}]}})
}

/// A volume of a claim.
fn claim(name: &str) -> Value {
    json!({"name": "data", "persistentVolumeClaim": {"claimName": name}})
}

fn add_volume(pod: &mut Value, volume: Value) {
    pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
}

/// What a tenant tries, and what the refusal says; nothing when it is let through.
type Try = (&'static str, Value, Option<&'static str>);

fn let_through() -> Vec<Try> {
    vec![
        ("a pod of nobody's", bare(), None),
        ("an injected pod", injected(), None),
        (
            "a native sidecar of others before ours",
            with(|pod| {
                let mesh = json!({"name": "mesh", "image": "mesh", "restartPolicy": "Always"});
                pod["spec"]["initContainers"]
                    .as_array_mut()
                    .unwrap()
                    .insert(0, mesh);
            }),
            None,
        ),
        (
            "Istio's init containers before ours",
            before(&[
                ("istio-init", false),
                ("istio-validation", false),
                ("istio-proxy", true),
            ]),
            None,
        ),
        (
            "Linkerd's init containers before ours",
            before(&[
                ("linkerd-init", false),
                ("linkerd-network-validator", false),
                ("linkerd-proxy", true),
            ]),
            None,
        ),
        (
            "a claim of its own",
            with(|pod| {
                add_volume(pod, claim("data-0"));
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "data", "mountPath": "/data"}]);
            }),
            None,
        ),
    ]
}

fn of_others_strands() -> Vec<Try> {
    vec![
        (
            "a strand's claim in a pod of nobody's",
            {
                let mut pod = bare();
                pod["spec"]["volumes"] = json!([claim("boboyka-strand-boboyka-0")]);
                pod
            },
            Some("does not have the label boboyka.sapixdb.com/integration"),
        ),
        (
            "another's claim",
            with(|pod| {
                pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] =
                    json!("boboyka-strand-boboyka-1");
            }),
            Some(
                "was not given to this pod: its annotation boboyka.sapixdb.com/strand names boboyka-0",
            ),
        ),
        (
            "another's claim beside its own",
            with(|pod| {
                add_volume(pod, claim("boboyka-strand-boboyka-1"));
            }),
            Some("was not given to this pod"),
        ),
        (
            "a claim without the annotation",
            with(|pod| {
                pod["metadata"]["annotations"] = json!({});
            }),
            Some("boboyka.sapixdb.com/strand is missing"),
        ),
    ]
}

fn of_other_containers() -> Vec<Try> {
    vec![
        (
            "the strand in the app",
            with(|pod| {
                pod["spec"]["containers"][0]["volumeMounts"] = mount();
            }),
            Some("remove the mount from the containers of this pod"),
        ),
        (
            "the strand in an init container",
            with(|pod| {
                pod["spec"]["initContainers"][1]["volumeMounts"] = mount();
            }),
            Some("remove the mount from the other init containers of this pod"),
        ),
        (
            "the strand as a device",
            with(|pod| {
                pod["spec"]["containers"][0]["volumeDevices"] =
                    json!([{"name": "boboyka-strand", "devicePath": "/dev/s"}]);
            }),
            Some("remove the mount from the containers of this pod"),
        ),
        (
            "the claim under another volume's name",
            with(|pod| {
                add_volume(pod, claim("boboyka-strand-boboyka-0"));
                pod["spec"]["containers"][0]["volumeMounts"] =
                    json!([{"name": "data", "mountPath": "/data"}]);
            }),
            Some("remove the mount from the containers of this pod"),
        ),
        (
            "an ephemeral strand in the app",
            with(|pod| {
                pod["spec"]["volumes"] = json!([{"name": "boboyka-strand", "emptyDir": {}}]);
                pod["spec"]["containers"][0]["volumeMounts"] = mount();
            }),
            Some("remove the mount from the containers of this pod"),
        ),
    ]
}

fn of_the_sidecar() -> Vec<Try> {
    vec![
        (
            "no sidecar",
            with(|pod| {
                pod["spec"]["initContainers"] = json!([]);
                pod["spec"]["volumes"] = json!([]);
            }),
            Some("but no sidecar"),
        ),
        (
            "a sidecar that is not native any more",
            with(|pod| {
                pod["spec"]["initContainers"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("restartPolicy");
            }),
            Some("restartPolicy Always"),
        ),
        (
            "an init container before the sidecar",
            with(|pod| {
                pod["spec"]["initContainers"]
                    .as_array_mut()
                    .unwrap()
                    .swap(0, 1);
            }),
            Some("the init container setup runs before boboyka-sidecar"),
        ),
        (
            "an init container between those of a mesh",
            before(&[
                ("istio-init", false),
                ("migrate", false),
                ("istio-proxy", true),
            ]),
            Some("the init container migrate runs before boboyka-sidecar"),
        ),
        (
            "a copy that kubectl debug makes",
            with(|pod| {
                pod["metadata"] = json!({"name": "copy"});
            }),
            Some("kubectl debug -it POD --image=IMAGE --target=CONTAINER"),
        ),
        (
            "a drain",
            with(|pod| {
                pod["metadata"]["labels"]["boboyka.sapixdb.com/drain"] = json!("boboyka-0");
            }),
            Some("only the job controller may create"),
        ),
    ]
}

#[test]
fn a_pod_mounts_no_strand_but_its_own_and_in_no_container_but_the_sidecar() {
    run(async {
        let namespace = tenancy().await;
        let api = Caller::person("tenant").api::<Pod>(&namespace).await;
        for (what, pod, refused) in [
            let_through(),
            of_others_strands(),
            of_other_containers(),
            of_the_sidecar(),
        ]
        .concat()
        {
            let answer = api
                .create(&dry(), &serde_json::from_value(pod).unwrap())
                .await;
            match refused {
                Some(why) => assert_refused(what, answer, why),
                None => drop(answer.unwrap_or_else(|error| panic!("{what}: {error}"))),
            }
        }
    });
}
