//! The rules about volumes and retention.

use super::pattern::{duration_text, matches, object_name};
use super::rule::Rule;
use crate::integration::{BoboykaIntegrationSpec, PayloadRetention};
use crate::phase::Phase;
use crate::quantity::{bytes, duration};
use crate::table::RECORD_TYPES;

/// The sidecar keeps part of a volume free and can't work on a smaller one.
const SIZE_MIN: u64 = 64 << 20;
/// The fixed overhead of a strand exceeds a smaller size.
const MAX_SIZE_MIN: u64 = 1 << 20;
/// No volume is larger, and sums of smaller sizes fit into 64 bits.
const LARGEST: u64 = 1 << 60;

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: &["spec", "retention"],
        field: "spec.retention.maxAge",
        message: "must be a duration of at least 1m, such as 720h; the units are h, m, s and ms",
        cel: concat!(
            "!has(self.maxAge) || (self.maxAge.matches('",
            duration_text!(),
            "') && duration(self.maxAge) >= duration('1m'))"
        ),
        is_kept: Some(|s| {
            let age = s.spec.retention.as_ref().and_then(|r| r.max_age.as_deref());
            age.is_none_or(|age| duration(age).is_some_and(|age| age.as_secs() >= 60))
        }),
    },
    Rule {
        at: &["spec", "retention"],
        field: "spec.retention.maxSize",
        message: "must be a size of at least 1Mi, such as 8Gi, and at most 1Ei",
        cel: "!has(self.maxSize) || (self.maxSize.matches('^[0-9]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self.maxSize).compareTo(quantity('1Mi')) >= 0 && quantity(self.maxSize).compareTo(quantity('1Ei')) <= 0)",
        is_kept: Some(|s| {
            max_size(s.spec).is_none_or(|size| {
                bytes(size).is_some_and(|size| (MAX_SIZE_MIN..=LARGEST).contains(&size))
            })
        }),
    },
    Rule {
        at: &["spec", "retention"],
        field: "spec.retention.types",
        message: "must be named by record type: project_build, build_queue_item, agent_health or audit_log",
        cel: "!has(self.types) || self.types.all(type, type in ['project_build', 'build_queue_item', 'agent_health', 'audit_log'])",
        is_kept: Some(|s| {
            let mut names = payloads(s.spec).map(|(name, _)| name);
            names.all(|name| RECORD_TYPES.contains(&name))
        }),
    },
    Rule {
        at: &["spec", "retention"],
        field: "spec.retention.types",
        message: "maxAge must be a duration of at least 1m, such as 168h; the units are h, m, s and ms",
        cel: concat!(
            "!has(self.types) || self.types.all(type, self.types[type].maxAge.matches('",
            duration_text!(),
            "') && duration(self.types[type].maxAge) >= duration('1m'))"
        ),
        is_kept: Some(|s| {
            let mut ages = payloads(s.spec).map(|(_, it)| duration(&it.max_age));
            ages.all(|age| age.is_some_and(|age| age.as_secs() >= 60))
        }),
    },
    Rule {
        at: &["spec", "storage"],
        field: "spec.storage.size",
        message: "must be a size of at least 64Mi, such as 10Gi, and at most 1Ei",
        cel: "!has(self.size) || (self.size.matches('^[0-9]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self.size).compareTo(quantity('64Mi')) >= 0 && quantity(self.size).compareTo(quantity('1Ei')) <= 0)",
        is_kept: Some(|s| {
            size(s.spec).is_none_or(|size| {
                bytes(size).is_some_and(|size| (SIZE_MIN..=LARGEST).contains(&size))
            })
        }),
    },
    Rule {
        at: &["spec", "storage"],
        field: "spec.storage.storageClassName",
        message: "must be the name of a storage class: lower-case letters, digits, '-' and '.'",
        cel: concat!(
            "!has(self.storageClassName) || self.storageClassName.matches(r'",
            object_name!(),
            "')"
        ),
        is_kept: Some(|s| {
            let storage = s.spec.storage.as_ref();
            let class = storage.and_then(|storage| storage.storage_class_name.as_deref());
            class.is_none_or(|class| matches(object_name!(), class))
        }),
    },
    Rule {
        at: &["spec", "storage"],
        field: "spec.storage.ephemeral",
        message: "can't be combined with size or storageClassName: an ephemeral strand has no volume claim",
        cel: "!has(self.ephemeral) || (!has(self.size) && !has(self.storageClassName))",
        is_kept: Some(|s| {
            s.spec.storage.as_ref().is_none_or(|storage| {
                storage.ephemeral.is_none()
                    || (storage.size.is_none() && storage.storage_class_name.is_none())
            })
        }),
    },
    Rule {
        at: &["spec", "storage", "ephemeral"],
        field: "spec.storage.ephemeral.sizeLimit",
        message: "must be a size of at least 64Mi, such as 1Gi, and at most 1Ei",
        cel: "!has(self.sizeLimit) || (self.sizeLimit.matches('^[0-9]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self.sizeLimit).compareTo(quantity('64Mi')) >= 0 && quantity(self.sizeLimit).compareTo(quantity('1Ei')) <= 0)",
        is_kept: Some(|s| {
            let limit = ephemeral(s.spec).and_then(|e| e.size_limit.as_deref());
            limit.is_none_or(|limit| {
                bytes(limit).is_some_and(|limit| (SIZE_MIN..=LARGEST).contains(&limit))
            })
        }),
    },
    Rule {
        at: &["spec"],
        field: "spec.storage.ephemeral",
        message: "requires phase DualWrite and spec.supabase: an ephemeral strand is lost with its pod, and only Supabase keeps a copy",
        cel: "!has(self.storage) || !has(self.storage.ephemeral) || (self.phase == 'DualWrite' && has(self.supabase))",
        is_kept: Some(|s| {
            ephemeral(s.spec).is_none()
                || (s.spec.phase == Phase::DualWrite && s.spec.supabase.is_some())
        }),
    },
    Rule {
        at: &["spec"],
        field: "spec.retention.maxSize",
        message: "must be at most spec.storage.size",
        cel: "!has(self.retention) || !has(self.retention.maxSize) || !has(self.storage) || !has(self.storage.size) || !isQuantity(self.retention.maxSize) || !isQuantity(self.storage.size) || quantity(self.retention.maxSize).compareTo(quantity(self.storage.size)) <= 0",
        is_kept: Some(|s| {
            let sizes = max_size(s.spec)
                .and_then(bytes)
                .zip(size(s.spec).and_then(bytes));
            sizes.is_none_or(|(max_size, size)| max_size <= size)
        }),
    },
    Rule {
        at: &["spec"],
        field: "spec.retention.hold",
        message: "can't be combined with spec.storage.ephemeral: an ephemeral strand is deleted with its pod",
        cel: "!has(self.retention) || !has(self.retention.hold) || !self.retention.hold || !has(self.storage) || !has(self.storage.ephemeral)",
        is_kept: Some(|s| {
            let held = s.spec.retention.as_ref().is_some_and(|it| it.hold);
            !held || ephemeral(s.spec).is_none()
        }),
    },
    // An integration that was stored before this rule keeps its records in spite of it, until its volumes are full.
    Rule {
        at: &["spec"],
        field: "spec.retention.maxSize",
        message: "must be at most the size of a strand's storage: spec.storage.size, by default 10Gi, or spec.storage.ephemeral.sizeLimit, by default 1Gi",
        cel: "!has(self.retention) || !has(self.retention.maxSize) || !isQuantity(self.retention.maxSize) || quantity(self.retention.maxSize).compareTo(has(self.storage) && has(self.storage.ephemeral) ? (has(self.storage.ephemeral.sizeLimit) ? (isQuantity(self.storage.ephemeral.sizeLimit) ? quantity(self.storage.ephemeral.sizeLimit) : quantity('1Ei')) : quantity('1Gi')) : has(self.storage) && has(self.storage.size) ? quantity('1Ei') : quantity('10Gi')) <= 0",
        is_kept: None,
    },
];

fn payloads(spec: &BoboykaIntegrationSpec) -> impl Iterator<Item = (&str, &PayloadRetention)> {
    let types = spec.retention.iter().flat_map(|it| &it.types);
    types.map(|(name, kept)| (name.as_str(), kept))
}

fn max_size(spec: &BoboykaIntegrationSpec) -> Option<&str> {
    spec.retention
        .as_ref()
        .and_then(|retention| retention.max_size.as_deref())
}

pub(super) fn size(spec: &BoboykaIntegrationSpec) -> Option<&str> {
    spec.storage
        .as_ref()
        .and_then(|storage| storage.size.as_deref())
}

pub(super) fn ephemeral(spec: &BoboykaIntegrationSpec) -> Option<&crate::Ephemeral> {
    spec.storage
        .as_ref()
        .and_then(|storage| storage.ephemeral.as_ref())
}
