//! Which strand a pod gets. Pure.
//!
//! Two replicas may choose the same strand for two pods. The API server accepts one of the writes, and a volume that only
//! one pod may mount makes even a wrong choice harmless.

use std::collections::HashSet;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, Slot};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

/// Strand names are label values too.
const NAME_MAX: usize = 63;
/// The StatefulSet controller writes a pod's ordinal here.
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// The Deployment controller writes the hash of its template here.
const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// A pod that needs a strand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    /// The ordinal or node whose strands it may have; `None`: any strand that is for no slot.
    pub(crate) slot: Option<Slot>,
    /// Its workload as `KIND/NAME`; `None` for a pod without a controller.
    pub(crate) workload: Option<String>,
}

/// The strands to choose from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    /// The integration's strands.
    pub(crate) strands: Vec<Arc<BoboykaStrand>>,
    /// UIDs of holders that no longer exist.
    pub(crate) gone: HashSet<String>,
    /// Names of strands that other pods took in the meantime.
    pub(crate) passed_over: HashSet<String>,
}

/// The strand that a pod gets.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// An existing strand.
    Take(Arc<BoboykaStrand>),
    /// A new strand of this name.
    Make(String),
}

impl Choice {
    /// The strand's name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Take(strand) => strand.name_any(),
            Self::Make(name) => name.clone(),
        }
    }
}

impl Requester {
    /// Reads a pod at its admission.
    pub(crate) fn of(pod: &DynamicObject) -> Self {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true));
        Self {
            slot: owner.and_then(|owner| slot_of(pod, owner)),
            workload: owner.map(|owner| workload_of(pod, owner)),
        }
    }

    /// Whether exactly one strand will do: a StatefulSet's pod needs the strand of its ordinal.
    pub(crate) fn needs_one_strand(&self) -> bool {
        let slot = self.slot.as_ref();
        slot.is_some_and(|slot| slot.kind == "StatefulSet")
    }

    /// Whether a strand is for pods like this one.
    pub(crate) fn fits(&self, strand: &BoboykaStrand) -> bool {
        strand.spec.slot == self.slot
    }
}

/// A Deployment owns its pods through replica sets, whose names end with the hash of a template.
fn workload_of(pod: &DynamicObject, owner: &OwnerReference) -> String {
    let hash = pod.labels().get(TEMPLATE_HASH_LABEL);
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment {
        Some(deployment) if owner.kind == "ReplicaSet" => format!("Deployment/{deployment}"),
        _ => format!("{}/{}", owner.kind, owner.name),
    }
}

fn slot_of(pod: &DynamicObject, owner: &OwnerReference) -> Option<Slot> {
    let key = match owner.kind.as_str() {
        "StatefulSet" => ordinal(pod),
        "DaemonSet" => node_of_daemon(&pod.data),
        _ => None,
    };
    Some(Slot {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        key: key?,
    })
}

fn ordinal(pod: &DynamicObject) -> Option<String> {
    let label = pod.labels().get(POD_INDEX_LABEL).cloned();
    label.or_else(|| {
        let (_, ordinal) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
        ordinal.parse::<u32>().ok().map(|number| number.to_string())
    })
}

/// A DaemonSet's pod names its node in its affinity: it is not scheduled yet.
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

/// Chooses for a pod of an integration: a free strand that fits, those with a backlog first, then those that the pod's
/// workload held last, then the lowest number; else a new strand.
pub(crate) fn choose(integration: &str, requester: &Requester, candidates: &Candidates) -> Choice {
    let strands = candidates.strands.iter();
    let free = strands.filter(|strand| is_free(strand, requester, candidates));
    let best = free.min_by_key(|strand| {
        let backlog = strand.status.as_ref().map_or(0, |status| status.backlog);
        let name = strand.name_any();
        let others = requester.workload.is_none() || strand.spec.workload != requester.workload;
        (backlog == 0, others, number_of(&name), name)
    });
    match best {
        Some(best) => Choice::Take(Arc::clone(best)),
        None => Choice::Make(new_name(integration, requester, candidates)),
    }
}

fn is_free(strand: &BoboykaStrand, requester: &Requester, candidates: &Candidates) -> bool {
    let holder = strand.spec.holder.as_ref();
    let is_held = holder.is_some_and(|holder| {
        let uid = holder.pod_uid.as_ref();
        !uid.is_some_and(|uid| candidates.gone.contains(uid))
    });
    // A StatefulSet has one pod of an ordinal at a time: the requester is its holder's successor.
    (!is_held || requester.needs_one_strand())
        && requester.fits(strand)
        && strand.spec.claim_name.is_some()
        && strand.metadata.deletion_timestamp.is_none()
        && !candidates.passed_over.contains(&strand.name_any())
}

/// The first name for a new strand that no other strand has.
pub(crate) fn new_name(
    integration: &str,
    requester: &Requester,
    candidates: &Candidates,
) -> String {
    let strands = candidates.strands.iter();
    let known: HashSet<String> = strands.map(|strand| strand.name_any()).collect();
    let mut names = (0u32..).map(|number| match &requester.slot {
        Some(slot) => name_of_slot(integration, slot, number),
        None => format!("{integration}-{number}"),
    });
    let name = names.find(|name| !known.contains(name) && !candidates.passed_over.contains(name));
    name.unwrap_or_default()
}

/// The number at the end of a strand's name, which orders strands that are for no slot.
fn number_of(name: &str) -> u32 {
    let number = name.rsplit('-').next().unwrap_or_default();
    number.parse().unwrap_or(u32::MAX)
}

/// The name of a slot's strand. It ends with a letter and a hash of the whole slot, so that neither another slot nor a
/// strand without a slot has the same name; people read the part before.
fn name_of_slot(integration: &str, slot: &Slot, number: u32) -> String {
    let whole = format!("{}/{}/{}/{number}", slot.kind, slot.name, slot.key);
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let end = format!("s{}", hash.as_str().get(..6).unwrap_or_default());
    let readable = format!("{}-{}", slot.name, slot.key);
    let readable = readable.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    let room = NAME_MAX.saturating_sub(integration.len() + end.len() + 2);
    let readable = readable.get(..room.min(readable.len())).unwrap_or_default();
    let readable = readable.trim_matches('-').to_ascii_lowercase();
    format!("{integration}-{readable}-{end}")
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaStrandSpec, Holder, StrandStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
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

    fn requester(slot: Option<Slot>) -> Requester {
        Requester {
            slot,
            workload: None,
        }
    }

    fn chosen(
        requester: &Requester,
        strands: &[Arc<BoboykaStrand>],
        gone: &[&str],
        passed_over: &[&str],
    ) -> String {
        let set = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        let candidates = Candidates {
            strands: strands.to_vec(),
            gone: set(gone),
            passed_over: set(passed_over),
        };
        match choose("i", requester, &candidates) {
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
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "i-2");
        assert_eq!(chosen(&requester(None), &strands, &["a"], &[]), "i-0");
        assert_eq!(chosen(&requester(None), &strands, &[], &["i-2"]), "i-10");
        assert_eq!(
            chosen(&requester(None), &strands, &[], &["i-2", "i-10"]),
            "new i-1"
        );
        let behind = strand("i-11", 7, None, None);
        let strands = [strands.as_slice(), &[behind]].concat();
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "i-11");
    }

    #[test]
    fn a_workloads_pods_get_the_strands_that_it_held_before_others() {
        let mut mine = strand("i-7", 0, None, None);
        Arc::make_mut(&mut mine).spec.workload = Some("Deployment/web".to_owned());
        let strands = [strand("i-0", 0, None, None), mine];
        let of_workload = |workload: &str| Requester {
            slot: None,
            workload: Some(workload.to_owned()),
        };
        assert_eq!(
            chosen(&of_workload("Deployment/web"), &strands, &[], &[]),
            "i-7"
        );
        assert_eq!(
            chosen(&of_workload("Deployment/other"), &strands, &[], &[]),
            "i-0"
        );
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "i-0");
    }

    #[test]
    fn a_statefulsets_pod_has_the_strand_of_its_ordinal_whoever_held_it() {
        let zero = requester(Some(slot("StatefulSet", "0")));
        let name = chosen(&zero, &[], &[], &[]);
        let name = name.strip_prefix("new ").unwrap();
        assert!(name.starts_with("i-web-0-s"), "{name}");
        let strands = [
            strand("i-0", 0, None, None),
            strand(name, 0, Some("before"), Some(slot("StatefulSet", "0"))),
        ];
        assert_eq!(chosen(&zero, &strands, &[], &[]), name);
        assert!(
            chosen(
                &requester(Some(slot("StatefulSet", "1"))),
                &strands,
                &[],
                &[]
            )
            .starts_with("new i-web-1")
        );
    }

    #[test]
    fn a_daemons_pod_that_surges_gets_a_second_strand_of_its_node() {
        let node = requester(Some(slot("DaemonSet", "n1.example")));
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
    }

    #[test]
    fn slots_are_read_from_pods_as_their_controllers_make_them() {
        let owner = |kind: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "u", "controller": true}]);
        let slot_of = |value: Value| {
            let pod: DynamicObject = serde_json::from_value(value).unwrap();
            Requester::of(&pod).slot
        };
        let set = json!({"metadata": {"name": "web-3", "ownerReferences": owner("StatefulSet")}});
        assert_eq!(slot_of(set), Some(slot("StatefulSet", "3")));
        let daemon = json!({
            "metadata": {"generateName": "web-", "ownerReferences": owner("DaemonSet")},
            "spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}],
            }}}},
        });
        assert_eq!(slot_of(daemon), Some(slot("DaemonSet", "n2")));
        let other =
            json!({"metadata": {"generateName": "web-", "ownerReferences": owner("ReplicaSet")}});
        assert_eq!(slot_of(other), None);
        assert_eq!(slot_of(json!({"metadata": {"name": "alone"}})), None);
    }

    #[test]
    fn a_deployment_is_named_and_not_its_replica_set() {
        let pod = |hash: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {
                "generateName": "web-abc-", "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "uid": "u", "controller": true}],
            }}))
            .unwrap()
        };
        let workload = |hash: &str| Requester::of(&pod(hash)).workload;
        assert_eq!(workload("abc").as_deref(), Some("Deployment/web"));
        assert_eq!(workload("xyz").as_deref(), Some("ReplicaSet/web-abc"));
    }

    #[test]
    fn a_strand_that_is_ephemeral_or_being_deleted_is_not_given_again() {
        let mut ephemeral = strand("i-0", 0, None, None);
        Arc::make_mut(&mut ephemeral).spec.claim_name = None;
        let mut deleted = strand("i-1", 0, None, None);
        Arc::make_mut(&mut deleted).metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let strands = [ephemeral, deleted];
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "new i-2");
    }
}
