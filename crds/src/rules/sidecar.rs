//! The rules about the sidecar's image and its resources.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::pattern::{image, matches};
use super::rule::{Rule, Subject};
use crate::quantity::amount;

type Amounts = BTreeMap<String, Quantity>;

const IS_AMOUNT: &str = "must be quantities that are not negative, such as 100m or 64Mi";
const IS_NAMED: &str = "can have cpu, memory, ephemeral-storage, hugepages-SIZE, and names with a domain such as example.com/device";
const AMOUNTS: &str = "self.all(name, isQuantity(string(self[name])) && quantity(string(self[name])).compareTo(quantity('0')) >= 0)";
const NAMES: &str = "self.all(name, name in ['cpu', 'memory', 'ephemeral-storage'] || name.startsWith('hugepages-') || name.contains('/'))";

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: &["spec", "sidecar"],
        field: "spec.sidecar.image",
        message: "must be the reference of an image, such as registry.example.com/boboyka-sidecar:1.0; the repository is in lower case",
        cel: concat!("!has(self.image) || self.image.matches(r'", image!(), "')"),
        is_kept: Some(|s| {
            let image = s.spec.sidecar.as_ref().and_then(|one| one.image.as_deref());
            image.is_none_or(|image| matches(image!(), image))
        }),
    },
    Rule {
        at: &["spec", "sidecar", "resources", "requests"],
        field: "spec.sidecar.resources.requests",
        message: IS_AMOUNT,
        cel: AMOUNTS,
        is_kept: Some(|s| requests(s).is_none_or(are_amounts)),
    },
    Rule {
        at: &["spec", "sidecar", "resources", "limits"],
        field: "spec.sidecar.resources.limits",
        message: IS_AMOUNT,
        cel: AMOUNTS,
        is_kept: Some(|s| limits(s).is_none_or(are_amounts)),
    },
    Rule {
        at: &["spec", "sidecar", "resources", "requests"],
        field: "spec.sidecar.resources.requests",
        message: IS_NAMED,
        cel: NAMES,
        is_kept: Some(|s| requests(s).is_none_or(are_named)),
    },
    Rule {
        at: &["spec", "sidecar", "resources", "limits"],
        field: "spec.sidecar.resources.limits",
        message: IS_NAMED,
        cel: NAMES,
        is_kept: Some(|s| limits(s).is_none_or(are_named)),
    },
    Rule {
        at: &["spec", "sidecar", "resources"],
        field: "spec.sidecar.resources.requests",
        message: "must be at most the limits",
        cel: "!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(name, !(name in self.requests) || !(name in self.limits) || !isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
        is_kept: Some(|s| {
            requests(s)
                .zip(limits(s))
                .is_none_or(|(requests, limits)| are_within(requests, limits))
        }),
    },
    Rule {
        at: &["spec", "sidecar", "resources", "limits"],
        field: "spec.sidecar.resources.limits",
        message: "memory must be at least 16Mi, because a sidecar can't run with less; note that m means thousandths",
        cel: "!('memory' in self) || !isQuantity(string(self['memory'])) || quantity(string(self['memory'])).compareTo(quantity('16Mi')) >= 0",
        is_kept: None,
    },
];

fn resources<'a>(subject: &Subject<'a>) -> Option<&'a ResourceRequirements> {
    let sidecar = subject.spec.sidecar.as_ref();
    sidecar.and_then(|sidecar| sidecar.resources.as_ref())
}

fn requests<'a>(subject: &Subject<'a>) -> Option<&'a Amounts> {
    resources(subject).and_then(|resources| resources.requests.as_ref())
}

fn limits<'a>(subject: &Subject<'a>) -> Option<&'a Amounts> {
    resources(subject).and_then(|resources| resources.limits.as_ref())
}

fn are_amounts(amounts: &Amounts) -> bool {
    amounts
        .values()
        .all(|one| amount(&one.0).is_some_and(|amount| amount >= 0))
}

fn are_named(amounts: &Amounts) -> bool {
    amounts.keys().all(|name| {
        let is_plain = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        is_plain || name.starts_with("hugepages-") || name.contains('/')
    })
}

fn are_within(requests: &Amounts, limits: &Amounts) -> bool {
    requests.iter().all(|(name, request)| {
        let limit = limits.get(name).and_then(|limit| amount(&limit.0));
        amount(&request.0)
            .zip(limit)
            .is_none_or(|(request, limit)| request <= limit)
    })
}
