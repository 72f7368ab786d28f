//! Where a pod may run, and whether a volume lies there. Pure.
//!
//! A node admits a pod by the name of the node, the pod's node selector and the required part of its node affinity. Taints
//! and free resources are the scheduler's affair: they change while the pod waits.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::caches::Node;

/// The only field of a node that terms name.
const NAME_FIELD: &str = "metadata.name";

/// Where a pod may run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Placement {
    /// The node that the pod names.
    node: Option<String>,
    /// Labels that its node has.
    selector: BTreeMap<String, String>,
    /// Terms of which its node meets one; `None`: any node.
    terms: Option<Vec<NodeSelectorTerm>>,
}

/// Where a volume can be mounted.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On every node, as far as is known.
    Anywhere,
    /// On the node of this name, for which it is being made.
    Node(Box<str>),
    /// On nodes that meet one of these terms.
    Terms(Arc<Vec<NodeSelectorTerm>>),
}

impl Placement {
    /// Reads the content of a pod.
    pub(crate) fn of(pod: &Value) -> Self {
        Self {
            node: read(pod, "/spec/nodeName"),
            selector: read(pod, "/spec/nodeSelector").unwrap_or_default(),
            terms: read(
                pod,
                "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
            ),
        }
    }

    /// Whether the pod may run on a node.
    pub(crate) fn admits(&self, node: &Node) -> bool {
        let has = |(key, value): (&String, &String)| node.labels.get(key) == Some(value);
        self.node.as_ref().is_none_or(|name| *name == node.name)
            && self.selector.iter().all(has)
            && self.terms.as_ref().is_none_or(|terms| meets(node, terms))
    }

    /// Whether the pod may run where a volume lies. `nodes` are those that admit the pod. If there is none today, one may
    /// come: then only a label that the pod asks for and the volume excludes speaks against the volume.
    fn reaches(&self, place: &Place, nodes: &[Arc<Node>]) -> bool {
        match place {
            Place::Anywhere => true,
            Place::Node(name) => nodes.iter().any(|node| *node.name == **name),
            Place::Terms(terms) if nodes.is_empty() => {
                terms.iter().any(|term| !self.contradicts(term))
            }
            Place::Terms(terms) => nodes.iter().any(|node| meets(node, terms)),
        }
    }

    /// Whether every node that admits the pod has a label with a value that the term excludes.
    fn contradicts(&self, term: &NodeSelectorTerm) -> bool {
        let mut requirements = term.match_expressions.iter().flatten();
        requirements.any(|one| {
            let value = self.asked(&one.key);
            value.is_some_and(|value| !is_met(one, Some(value)))
        })
    }

    /// The one value of a label that the pod asks for.
    fn asked(&self, key: &str) -> Option<&str> {
        let selected = self.selector.get(key).map(String::as_str);
        selected.or_else(|| {
            let [term] = self.terms.as_deref()? else {
                return None;
            };
            let mut requirements = term.match_expressions.iter().flatten();
            let one = requirements.find(|one| one.key == key && one.operator == "In")?;
            match one.values.as_deref()? {
                [value] => Some(value),
                _ => None,
            }
        })
    }
}

/// Judges places for one pod; `nodes` gives the nodes that admit it, and is called when the first place needs them.
pub(crate) fn judge<'a>(
    placement: &'a Placement,
    nodes: impl FnOnce() -> Vec<Arc<Node>> + 'a,
) -> impl Fn(&Place) -> bool + 'a {
    let nodes = LazyCell::new(nodes);
    move |place| matches!(place, Place::Anywhere) || placement.reaches(place, &nodes)
}

fn read<T: DeserializeOwned>(pod: &Value, pointer: &str) -> Option<T> {
    let value = pod.pointer(pointer).filter(|value| !value.is_null())?;
    serde_json::from_value(value.clone()).ok()
}

/// Whether a node meets one of the terms. A term that requires nothing is met by no node.
fn meets(node: &Node, terms: &[NodeSelectorTerm]) -> bool {
    terms.iter().any(|term| {
        let labels = term.match_expressions.as_deref().unwrap_or_default();
        let fields = term.match_fields.as_deref().unwrap_or_default();
        let label = |key: &str| node.labels.get(key).map(String::as_str);
        let field = |key: &str| (key == NAME_FIELD).then_some(node.name.as_str());
        !(labels.is_empty() && fields.is_empty())
            && labels.iter().all(|one| is_met(one, label(&one.key)))
            && fields.iter().all(|one| is_met(one, field(&one.key)))
    })
}

/// Whether a label or field with this value meets a requirement; `None`: the node does not have it.
fn is_met(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_listed = value.is_some_and(|value| values.iter().any(|one| one == value));
    let number = |text: &str| text.parse::<i64>().ok();
    let numbers = || Some((number(value?)?, number(values.first()?)?));
    match requirement.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => numbers().is_some_and(|(has, least)| has > least),
        "Lt" => numbers().is_some_and(|(has, most)| has < most),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, labels: &[(&str, &str)]) -> Arc<Node> {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Arc::new(Node {
            name: name.to_owned(),
            labels: labels.collect(),
        })
    }

    fn nodes() -> Vec<Arc<Node>> {
        vec![
            node("n1", &[("zone", "a"), ("pool", "small"), ("cores", "4")]),
            node("n2", &[("zone", "b"), ("pool", "small"), ("cores", "16")]),
        ]
    }

    fn terms(terms: Value) -> Place {
        Place::Terms(Arc::new(serde_json::from_value(terms).unwrap()))
    }

    fn zone(name: &str) -> Place {
        terms(json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": [name]}]}]))
    }

    fn on(node: &str) -> Place {
        Place::Node(node.into())
    }

    fn affinity(terms: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": terms,
        }}}})
    }

    /// Whether a pod of this specification reaches a place.
    fn reaches(spec: &Value, place: &Place) -> bool {
        let placement = Placement::of(&json!({"spec": spec}));
        let all = nodes();
        let admitting = || {
            let admitting = all.iter().filter(|node| placement.admits(node));
            admitting.cloned().collect()
        };
        judge(&placement, admitting)(place)
    }

    #[test]
    fn a_pod_reaches_a_volume_on_a_node_where_both_may_be() {
        let small = json!({"nodeSelector": {"pool": "small"}});
        let in_a = json!({"nodeSelector": {"zone": "a"}});
        for (spec, place, expected) in [
            (&json!({}), zone("a"), true),
            (&json!({}), zone("c"), false),
            (&small, zone("b"), true),
            (&in_a, zone("a"), true),
            (&in_a, zone("b"), false),
            (&in_a, on("n1"), true),
            (&in_a, on("n2"), false),
            (&in_a, on("gone"), false),
            (&in_a, Place::Anywhere, true),
            (&json!({"nodeName": "n2"}), zone("a"), false),
            (&json!({"nodeName": "n2"}), zone("b"), true),
        ] {
            assert_eq!(reaches(spec, &place), expected, "{spec} {place:?}");
        }
    }

    #[test]
    fn a_pod_meets_one_of_its_terms_and_all_requirements_of_it() {
        let rule = |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
        for (requirements, on_n1, on_n2) in [
            (json!([rule("zone", "In", &["a", "c"])]), true, false),
            (json!([rule("zone", "NotIn", &["a"])]), false, true),
            (json!([rule("gpu", "NotIn", &["x"])]), true, true),
            (json!([rule("zone", "Exists", &[])]), true, true),
            (json!([rule("gpu", "Exists", &[])]), false, false),
            (json!([rule("gpu", "DoesNotExist", &[])]), true, true),
            (json!([rule("cores", "Gt", &["8"])]), false, true),
            (json!([rule("cores", "Lt", &["8"])]), true, false),
            (json!([rule("zone", "Gt", &["8"])]), false, false),
            (
                json!([rule("zone", "In", &["a"]), rule("cores", "Gt", &["8"])]),
                false,
                false,
            ),
            (json!([]), false, false),
        ] {
            let placement = affinity(&json!([{"matchExpressions": requirements}]));
            let placement = Placement::of(&json!({"spec": placement}));
            let admits: Vec<bool> = nodes().iter().map(|node| placement.admits(node)).collect();
            assert_eq!(admits, [on_n1, on_n2], "{requirements}");
        }
        let by_name = json!([{}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}]);
        assert!(reaches(&affinity(&by_name), &zone("b")));
        assert!(!reaches(&affinity(&by_name), &zone("a")));
    }

    #[test]
    fn where_no_node_admits_the_pod_yet_only_a_contradiction_speaks_against_a_volume() {
        let one_zone =
            json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["c"]}]}]);
        let both = json!([
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["c"]}]},
            {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["large"]}]},
        ]);
        for (spec, place, expected) in [
            (&json!({"nodeSelector": {"pool": "large"}}), zone("a"), true),
            (&json!({"nodeSelector": {"zone": "c"}}), zone("c"), true),
            (&json!({"nodeSelector": {"zone": "c"}}), zone("a"), false),
            (&affinity(&one_zone), zone("c"), true),
            (&affinity(&one_zone), zone("a"), false),
            (
                &json!({"nodeSelector": {"pool": "large"}, "affinity": affinity(&both)["affinity"]}),
                zone("a"),
                true,
            ),
        ] {
            assert_eq!(reaches(spec, &place), expected, "{spec} {place:?}");
        }
    }
}
