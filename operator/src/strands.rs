//! Which strand a pod gets. Pure: what is known goes in, a choice comes out; two replicas that choose the same are told
//! apart by the API server, and a volume that only one pod may mount makes even a wrong choice harmless.

use std::collections::HashSet;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, Slot};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

/// Names of strands are values of labels too.
const NAME_MAX: usize = 63;
/// Where a StatefulSet's controller writes a pod's ordinal.
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// Where a Deployment's controller writes the hash of its template.
const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// Which strands a pod may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Those of its ordinal or node.
    Slot(Slot),
    /// Any that is for no slot.
    Pool,
}

/// Who asks for a strand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Which strands it may have.
    pub place: Place,
    /// Its workload, as `KIND/NAME`; none for a pod of its own.
    pub workload: Option<String>,
}

/// What a pod is given.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A strand that is there.
    Take(Arc<BoboykaStrand>),
    /// A new one of this name.
    Make(String),
}

/// A pod as one that asks, from what stands in it at admission.
pub fn asker_of(pod: &DynamicObject) -> Asker {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    Asker {
        place: owner.map_or(Place::Pool, |owner| place_of(pod, owner)),
        workload: owner.map(|owner| workload_of(pod, owner)),
    }
}

/// A Deployment stands behind its replica sets, whose names end with the hash of a template.
fn workload_of(pod: &DynamicObject, owner: &OwnerReference) -> String {
    let hash = pod.labels().get(TEMPLATE_HASH_LABEL);
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment {
        Some(deployment) if owner.kind == "ReplicaSet" => format!("Deployment/{deployment}"),
        _ => format!("{}/{}", owner.kind, owner.name),
    }
}

fn place_of(pod: &DynamicObject, owner: &OwnerReference) -> Place {
    let key = match owner.kind.as_str() {
        "StatefulSet" => ordinal(pod),
        "DaemonSet" => node_of_daemon(&pod.data),
        _ => None,
    };
    key.map_or(Place::Pool, |key| {
        Place::Slot(Slot {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            key,
        })
    })
}

fn ordinal(pod: &DynamicObject) -> Option<String> {
    let label = pod.labels().get(POD_INDEX_LABEL).cloned();
    label.or_else(|| {
        let (_, ordinal) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
        ordinal.parse::<u32>().ok().map(|number| number.to_string())
    })
}

/// A DaemonSet's pod names its node in its affinity: it has no node yet.
fn node_of_daemon(pod: &Value) -> Option<String> {
    let terms = pod.pointer(
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    )?;
    let fields = terms
        .as_array()?
        .iter()
        .filter_map(|term| term.get("matchFields"));
    let mut fields = fields.filter_map(Value::as_array).flatten();
    let field = fields.find(|field| field.get("key") == Some(&"metadata.name".into()))?;
    Some(field.pointer("/values/0")?.as_str()?.to_owned())
}

/// Chooses for a pod: a free strand of its place, those with a backlog first, then those that its workload held last, then
/// the lowest; else a new one.
///
/// `strands` are the integration's; `gone` tells of a holder that it is no more; `passed_over` are strands that others
/// took in the meantime.
pub fn choose(
    integration: &str,
    asker: &Asker,
    ephemeral: bool,
    strands: &[Arc<BoboykaStrand>],
    gone: impl Fn(&str) -> bool,
    passed_over: impl Fn(&str) -> bool,
) -> Choice {
    let slot = match &asker.place {
        Place::Slot(slot) => Some(slot),
        Place::Pool => None,
    };
    let free = |strand: &&Arc<BoboykaStrand>| {
        let held = strand
            .spec
            .holder
            .as_ref()
            .is_some_and(|holder| !holder.pod_uid.as_deref().is_some_and(&gone));
        // A StatefulSet has one pod of an ordinal at a time: who asks is the next one.
        let only_one = slot.is_some_and(|slot| slot.kind == "StatefulSet");
        (!held || only_one)
            && strand.spec.slot.as_ref() == slot
            && strand.spec.claim_name.is_some()
            && strand.metadata.deletion_timestamp.is_none()
            && !passed_over(&strand.name_any())
    };
    if !ephemeral {
        let best = strands.iter().filter(free).min_by_key(|strand| {
            let backlog = strand.status.as_ref().map_or(0, |status| status.backlog);
            let name = strand.name_any();
            let others = asker.workload.is_none() || strand.spec.workload != asker.workload;
            (backlog == 0, others, number_of(&name), name)
        });
        if let Some(best) = best {
            return Choice::Take(Arc::clone(best));
        }
    }
    let known: HashSet<String> = strands.iter().map(|strand| strand.name_any()).collect();
    let mut numbers = 0u32..;
    let name = numbers.find_map(|number| {
        let name = match slot {
            Some(slot) => name_of_slot(integration, slot, number),
            None => format!("{integration}-{number}"),
        };
        (!known.contains(&name) && !passed_over(&name)).then_some(name)
    });
    Choice::Make(name.unwrap_or_default())
}

/// The number at the end of a pool strand's name.
fn number_of(name: &str) -> u32 {
    let number = name.rsplit('-').next().unwrap_or_default();
    number.parse().unwrap_or(u32::MAX)
}

/// The name of a slot's strand. It ends with a letter and a hash of all that it stands for, so that no two slots and no
/// strand of a pool share a name; what stands before is for people.
fn name_of_slot(integration: &str, slot: &Slot, number: u32) -> String {
    let whole = format!("{}/{}/{}/{number}", slot.kind, slot.name, slot.key);
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let end = format!("s{}", hash.as_str().get(..6).unwrap_or_default());
    let told = format!("{}-{}", slot.name, slot.key);
    let told = told.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    let room = NAME_MAX.saturating_sub(integration.len() + end.len() + 2);
    let told = told.get(..room.min(told.len())).unwrap_or_default();
    let told = told.trim_matches('-').to_ascii_lowercase();
    format!("{integration}-{told}-{end}")
}

/// A slot in an annotation, as `KIND/NAME/KEY`.
pub fn slot_text(slot: &Slot) -> String {
    format!("{}/{}/{}", slot.kind, slot.name, slot.key)
}

/// The reverse of [`slot_text`].
pub fn read_slot(text: &str) -> Option<Slot> {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    Some(Slot {
        kind: parts.next()?,
        name: parts.next()?,
        key: parts.next()?,
    })
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaStrandSpec, Holder, StrandStatus};
    use serde_json::json;

    use super::*;

    fn strand(
        name: &str,
        backlog: i64,
        holder: Option<&str>,
        slot: Option<Slot>,
    ) -> Arc<BoboykaStrand> {
        let spec = BoboykaStrandSpec {
            integration: "i".to_owned(),
            claim_name: Some(boboyka_crds::names::claim_of(name)),
            slot,
            holder: holder.map(|uid| Holder {
                token: "t".to_owned(),
                pod_uid: Some(uid.to_owned()),
                ..Holder::default()
            }),
            ..BoboykaStrandSpec::default()
        };
        let mut strand = BoboykaStrand::new(name, spec);
        strand.status = Some(StrandStatus {
            backlog,
            ..StrandStatus::default()
        });
        Arc::new(strand)
    }

    fn chosen(
        place: &Place,
        strands: &[Arc<BoboykaStrand>],
        gone: &[&str],
        passed: &[&str],
    ) -> String {
        chosen_by(
            &Asker {
                place: place.clone(),
                workload: None,
            },
            strands,
            gone,
            passed,
        )
    }

    fn chosen_by(
        asker: &Asker,
        strands: &[Arc<BoboykaStrand>],
        gone: &[&str],
        passed: &[&str],
    ) -> String {
        let passed = |name: &str| passed.contains(&name);
        match choose(
            "i",
            asker,
            false,
            strands,
            |uid| gone.contains(&uid),
            passed,
        ) {
            Choice::Take(strand) => strand.name_any(),
            Choice::Make(name) => format!("new {name}"),
        }
    }

    fn slot(kind: &str, key: &str) -> Slot {
        Slot {
            kind: kind.to_owned(),
            name: "web".to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn the_lowest_free_strand_is_taken_but_one_with_a_backlog_first() {
        let strands = [
            strand("i-0", 0, Some("a"), None),
            strand("i-10", 0, None, None),
            strand("i-2", 0, None, None),
        ];
        assert_eq!(chosen(&Place::Pool, &strands, &[], &[]), "i-2");
        assert_eq!(chosen(&Place::Pool, &strands, &["a"], &[]), "i-0");
        assert_eq!(chosen(&Place::Pool, &strands, &[], &["i-2"]), "i-10");
        assert_eq!(
            chosen(&Place::Pool, &strands, &[], &["i-2", "i-10"]),
            "new i-1"
        );
        let behind = strand("i-11", 7, None, None);
        let strands = [strands.as_slice(), &[behind]].concat();
        assert_eq!(chosen(&Place::Pool, &strands, &[], &[]), "i-11");
    }

    #[test]
    fn a_workloads_pods_get_the_strands_that_it_held_before_others() {
        let mut mine = strand("i-7", 0, None, None);
        Arc::make_mut(&mut mine).spec.workload = Some("Deployment/web".to_owned());
        let strands = [strand("i-0", 0, None, None), mine];
        let asker = |workload: &str| Asker {
            place: Place::Pool,
            workload: Some(workload.to_owned()),
        };
        assert_eq!(
            chosen_by(&asker("Deployment/web"), &strands, &[], &[]),
            "i-7"
        );
        assert_eq!(
            chosen_by(&asker("Deployment/other"), &strands, &[], &[]),
            "i-0"
        );
        assert_eq!(chosen(&Place::Pool, &strands, &[], &[]), "i-0");
    }

    #[test]
    fn a_statefulsets_pod_has_the_strand_of_its_ordinal_whoever_held_it() {
        let zero = Place::Slot(slot("StatefulSet", "0"));
        let name = chosen(&zero, &[], &[], &[]);
        let name = name.strip_prefix("new ").unwrap();
        assert!(name.starts_with("i-web-0-s"), "{name}");
        let strands = [
            strand("i-0", 0, None, None),
            strand(name, 0, Some("before"), Some(slot("StatefulSet", "0"))),
        ];
        assert_eq!(chosen(&zero, &strands, &[], &[]), name);
        assert!(
            chosen(&Place::Slot(slot("StatefulSet", "1")), &strands, &[], &[])
                .starts_with("new i-web-1")
        );
    }

    #[test]
    fn a_daemons_pod_that_surges_gets_a_second_strand_of_its_node() {
        let node = Place::Slot(slot("DaemonSet", "n1.example"));
        let first = chosen(&node, &[], &[], &[]).replace("new ", "");
        let held = [strand(
            &first,
            0,
            Some("a"),
            Some(slot("DaemonSet", "n1.example")),
        )];
        let second = chosen(&node, &held, &[], &[]);
        assert!(second.starts_with("new i-web-n1-example-s") && !second.contains(&first));
        assert_eq!(chosen(&node, &held, &["a"], &[]), first);
    }

    #[test]
    fn names_fit_into_a_label() {
        let long = Slot {
            kind: "DaemonSet".to_owned(),
            name: "a".repeat(63),
            key: "n".repeat(253),
        };
        let name = name_of_slot(&"i".repeat(40), &long, 0);
        assert!(name.len() <= NAME_MAX, "{name}");
        assert_eq!(read_slot(&slot_text(&long)), Some(long));
    }

    #[test]
    fn places_are_read_from_pods_as_their_controllers_make_them() {
        let owner = |kind: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "u", "controller": true}]);
        let pod = |value: Value| -> DynamicObject { serde_json::from_value(value).unwrap() };
        let set =
            pod(json!({"metadata": {"name": "web-3", "ownerReferences": owner("StatefulSet")}}));
        assert_eq!(asker_of(&set).place, Place::Slot(slot("StatefulSet", "3")));
        let daemon = pod(json!({
            "metadata": {"generateName": "web-", "ownerReferences": owner("DaemonSet")},
            "spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}],
            }}}},
        }));
        assert_eq!(
            asker_of(&daemon).place,
            Place::Slot(slot("DaemonSet", "n2"))
        );
        let other = pod(
            json!({"metadata": {"generateName": "web-", "ownerReferences": owner("ReplicaSet")}}),
        );
        assert_eq!(asker_of(&other).place, Place::Pool);
        assert_eq!(
            asker_of(&pod(json!({"metadata": {"name": "alone"}}))).place,
            Place::Pool
        );
    }
}
