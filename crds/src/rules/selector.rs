//! The rules about the selector of workloads. Only the first one is checked in Rust too: a stored selector that can't be
//! read selects nothing, and the rest of its integration works.

use super::pattern::{label_key, label_value};
use super::rule::Rule;

const AT: &[&str] = &["spec", "workloadSelector"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: &["spec"],
        field: "spec.workloadSelector",
        message: "must name at least one label: an empty selector selects every workload of the namespace",
        cel: "!has(self.workloadSelector) || (has(self.workloadSelector.matchLabels) && self.workloadSelector.matchLabels.size() > 0) || (has(self.workloadSelector.matchExpressions) && self.workloadSelector.matchExpressions.size() > 0)",
        is_kept: Some(|s| {
            s.spec.workload_selector.as_ref().is_none_or(|selector| {
                selector
                    .match_labels
                    .as_ref()
                    .is_some_and(|labels| !labels.is_empty())
                    || selector
                        .match_expressions
                        .as_ref()
                        .is_some_and(|list| !list.is_empty())
            })
        }),
    },
    Rule {
        at: AT,
        field: "spec.workloadSelector.matchExpressions",
        message: "must have the operator In or NotIn with values, or Exists or DoesNotExist without values",
        cel: "!has(self.matchExpressions) || self.matchExpressions.all(one, one.operator in ['In', 'NotIn'] ? has(one.values) && one.values.size() > 0 : one.operator in ['Exists', 'DoesNotExist'] && (!has(one.values) || one.values.size() == 0))",
        is_kept: None,
    },
    Rule {
        at: AT,
        field: "spec.workloadSelector.matchExpressions",
        message: "must have keys and values that labels can have",
        cel: concat!(
            "!has(self.matchExpressions) || self.matchExpressions.all(one, one.key.matches(r'",
            label_key!(),
            "') && (!has(one.values) || one.values.all(value, value.matches(r'",
            label_value!(),
            "'))))"
        ),
        is_kept: None,
    },
    Rule {
        at: AT,
        field: "spec.workloadSelector.matchLabels",
        message: "must have keys and values that labels can have",
        cel: concat!(
            "!has(self.matchLabels) || self.matchLabels.all(key, key.matches(r'",
            label_key!(),
            "') && self.matchLabels[key].matches(r'",
            label_value!(),
            "'))"
        ),
        is_kept: None,
    },
];
