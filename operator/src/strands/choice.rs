//! Which strand a pod gets. Pure.
//!
//! Two replicas may choose the same strand for two pods. The API server accepts one of the writes, and a volume that only
//! one pod may mount makes even a wrong choice harmless. A new strand has a name that only one pod carries, so nobody has to
//! write anything before the pod exists.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use boboyka_crds::{BoboykaStrand, Slot};
use kube::ResourceExt as _;

use super::requester::Requester;

/// Strand names are label values too.
const NAME_MAX: usize = 63;

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

/// Chooses for a pod: a free strand that fits and is not fenced, those with a backlog first, then those that the pod's workload held last,
/// then the oldest. `reaches` says whether the pod may run where the strand's volume lies. `None`: it gets a new one.
pub(crate) fn choose(
    requester: &Requester,
    candidates: &Candidates,
    reaches: impl Fn(&BoboykaStrand) -> bool,
) -> Option<Arc<BoboykaStrand>> {
    let strands = candidates.strands.iter();
    let free = strands.filter(|strand| is_free(strand, requester, candidates));
    let mut free: Vec<_> = free.collect();
    free.sort_by_cached_key(|strand| {
        let backlog = strand.report().map_or(0, |status| status.backlog);
        let made = strand.metadata.creation_timestamp.as_ref();
        (
            Reverse(backlog > 0),
            !is_own(requester, strand),
            made.map(|made| made.0),
            strand.name_any(),
        )
    });
    let best = free.into_iter().find(|strand| reaches(strand));
    best.map(Arc::clone)
}

/// Whether a strand is for pods like this one.
pub(crate) fn fits(requester: &Requester, strand: &BoboykaStrand) -> bool {
    strand.spec.slot == requester.slot
}

/// Whether a strand that fits is the pod's own: of its slot, or what its workload held last.
pub(crate) fn is_own(requester: &Requester, strand: &BoboykaStrand) -> bool {
    let of_workload = requester.workload.is_some() && strand.spec.workload == requester.workload;
    requester.slot.is_some() || of_workload
}

fn is_free(strand: &BoboykaStrand, requester: &Requester, candidates: &Candidates) -> bool {
    let holder = strand.spec.holder.as_ref();
    let is_held = holder.is_some_and(|holder| {
        let uid = holder.pod_uid.as_ref();
        !uid.is_some_and(|uid| candidates.gone.contains(uid))
    });
    !is_held
        && !strand.is_history()
        && fits(requester, strand)
        && strand.fence().is_none()
        && strand.spec.claim_name.is_some()
        && strand.metadata.deletion_timestamp.is_none()
        && !candidates.passed_over.contains(&strand.name_any())
}

/// The name of a new strand. `chance` makes it one that no other strand has.
pub(crate) fn fresh_name(integration: &str, slot: Option<&Slot>, chance: &str) -> String {
    match slot {
        Some(slot) => name_of_slot(integration, slot, chance),
        None => format!("{integration}-{chance}"),
    }
}

/// The name of the strand of a StatefulSet's ordinal, which is always the same. It ends with a letter and a hash of the
/// whole slot, so that no other slot has the same name.
pub(crate) fn name_of_ordinal(integration: &str, slot: &Slot) -> String {
    let whole = format!("{}/{}/{}/0", slot.kind, slot.name, slot.key);
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    let end = format!("s{}", hash.as_str().get(..6).unwrap_or_default());
    name_of_slot(integration, slot, &end)
}

/// A name that shows the slot to people, as far as there is room.
fn name_of_slot(integration: &str, slot: &Slot, end: &str) -> String {
    let readable = format!("{}-{}", slot.name, slot.key);
    let readable = readable.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
    let room = NAME_MAX.saturating_sub(integration.len() + end.len() + 2);
    let readable = readable.get(..room.min(readable.len())).unwrap_or_default();
    let readable = readable.trim_matches('-').to_ascii_lowercase();
    format!("{integration}-{readable}-{end}")
}

#[cfg(test)]
mod tests {
    use boboyka_crds::{BoboykaStrandSpec, Fence, Holder, StrandStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    /// A strand that was created at this second.
    fn strand(
        name: &str,
        made: i64,
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
        strand.metadata.creation_timestamp = Some(Time(Timestamp::from_second(made).unwrap()));
        Arc::new(strand)
    }

    fn requester(slot: Option<Slot>) -> Requester {
        Requester {
            slot,
            ..Requester::default()
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
        choose(requester, &candidates, |_| true)
            .map_or_else(|| "new".to_owned(), |one| one.name_any())
    }

    fn slot(kind: &str, key: &str) -> Slot {
        Slot {
            kind: kind.to_owned(),
            name: "web".to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn the_oldest_free_strand_is_taken_but_one_with_a_backlog_first() {
        let any = requester(None);
        let strands = [
            strand("i-a", 1, Some("a"), None),
            strand("i-b", 3, None, None),
            strand("i-c", 2, None, None),
        ];
        assert_eq!(chosen(&any, &strands, &[], &[]), "i-c");
        assert_eq!(chosen(&any, &strands, &["a"], &[]), "i-a");
        assert_eq!(chosen(&any, &strands, &[], &["i-c"]), "i-b");
        assert_eq!(chosen(&any, &strands, &[], &["i-b", "i-c"]), "new");
        let mut behind = strand("i-d", 9, None, None);
        Arc::make_mut(&mut behind).status = Some(StrandStatus {
            reported_at: Some(Time(Timestamp::UNIX_EPOCH)),
            backlog: 7,
            ..StrandStatus::default()
        });
        let strands = [strands.as_slice(), &[behind]].concat();
        assert_eq!(chosen(&any, &strands, &[], &[]), "i-d");
    }

    #[test]
    fn a_workloads_pods_get_the_strands_that_it_held_before_others() {
        let mut mine = strand("i-7", 7, None, None);
        Arc::make_mut(&mut mine).spec.workload = Some("Deployment/web".to_owned());
        let strands = [strand("i-0", 0, None, None), mine];
        for (workload, gets) in [
            (Some("Deployment/web"), "i-7"),
            (Some("Deployment/other"), "i-0"),
            (None, "i-0"),
        ] {
            let of_workload = Requester {
                workload: workload.map(str::to_owned),
                ..Requester::default()
            };
            assert_eq!(chosen(&of_workload, &strands, &[], &[]), gets);
        }
    }

    #[test]
    fn a_strand_whose_volume_the_pod_can_not_reach_is_left_for_others_and_a_new_one_made() {
        let strands = [strand("i-a", 1, None, None), strand("i-b", 2, None, None)];
        let candidates = Candidates {
            strands: strands.to_vec(),
            ..Candidates::default()
        };
        for (reached, gets) in [("i-a", Some("i-a")), ("i-b", Some("i-b")), ("none", None)] {
            let chosen = choose(&requester(None), &candidates, |one| {
                one.name_any() == reached
            });
            assert_eq!(chosen.map(|one| one.name_any()).as_deref(), gets);
        }
    }

    #[test]
    fn an_ordinal_has_one_name_and_no_other_slot_has_it() {
        let zero = slot("StatefulSet", "0");
        let name = name_of_ordinal("i", &zero);
        assert_eq!(name, name_of_ordinal("i", &zero));
        assert!(name.starts_with("i-web-0-s"), "{name}");
        assert_ne!(name, name_of_ordinal("i", &slot("StatefulSet", "1")));
        let strands = [
            strand("i-0", 0, None, None),
            strand(&name, 0, None, Some(zero)),
        ];
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "i-0");
    }

    #[test]
    fn a_daemons_pod_that_surges_gets_a_second_strand_of_its_node() {
        let node = slot("DaemonSet", "n1.example");
        let held = [strand("i-1", 0, Some("a"), Some(node.clone()))];
        let node_of = requester(Some(node.clone()));
        assert_eq!(chosen(&node_of, &held, &[], &[]), "new");
        assert_eq!(chosen(&node_of, &held, &["a"], &[]), "i-1");
        let name = fresh_name("i", Some(&node), "k3x9");
        assert_eq!(name, "i-web-n1-example-k3x9");
    }

    #[test]
    fn names_fit_into_a_label() {
        let long = Slot {
            kind: "DaemonSet".to_owned(),
            name: "a".repeat(63),
            key: "n".repeat(253),
        };
        let name = fresh_name(&"i".repeat(40), Some(&long), "12345678");
        assert!(name.len() <= NAME_MAX, "{name}");
        assert!(name_of_ordinal(&"i".repeat(40), &long).len() <= NAME_MAX);
    }

    #[test]
    fn a_fenced_strand_is_given_to_nobody_and_another_one_taken_or_made() {
        let mut fenced = strand("i-a", 1, None, None);
        Arc::make_mut(&mut fenced).spec.fenced = Some(Fence::default());
        let mut of_node = strand("i-n", 1, None, Some(slot("DaemonSet", "n1")));
        Arc::make_mut(&mut of_node).spec.fenced = Some(Fence::default());
        let strands = [fenced, of_node, strand("i-b", 2, None, None)];
        let any = requester(None);
        assert_eq!(chosen(&any, &strands, &[], &[]), "i-b");
        assert_eq!(chosen(&any, &strands, &[], &["i-b"]), "new");
        let daemon = requester(Some(slot("DaemonSet", "n1")));
        assert_eq!(chosen(&daemon, &strands, &[], &[]), "new");
    }

    #[test]
    fn the_history_is_given_to_nobody() {
        let strands = [strand("i-history", 1, None, None)];
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "new");
        assert_eq!(
            chosen(
                &requester(None),
                &[strand("i-history1", 1, None, None)],
                &[],
                &[]
            ),
            "i-history1"
        );
    }

    #[test]
    fn a_strand_that_is_ephemeral_or_being_deleted_is_not_given_again() {
        let mut ephemeral = strand("i-0", 0, None, None);
        Arc::make_mut(&mut ephemeral).spec.claim_name = None;
        let mut deleted = strand("i-1", 0, None, None);
        Arc::make_mut(&mut deleted).metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let strands = [ephemeral, deleted];
        assert_eq!(chosen(&requester(None), &strands, &[], &[]), "new");
    }
}
