//! The rules that a `BoboykaIntegration` must keep beyond the types of its fields. Each rule stands here once, with its
//! field and its message.
//!
//! The API server checks the CEL expressions when it stores an integration. The operator checks the same rules again in
//! Rust, because an integration may be older than a rule. Rules that compare an integration with its previous version
//! exist as CEL only: the API server alone has both versions. One table of fixtures tests both sides.

use std::collections::BTreeMap;

use crate::integration::BoboykaIntegrationSpec;
use crate::phase::Phase;
use crate::quantity::{bytes, duration};
use crate::table::{MirrorMode, MirrorTable, RECORD_TYPES};

/// Names of strands begin with the name of their integration and must fit into a label value of 63 characters.
const NAME_MAX: usize = 40;
/// The sidecar keeps part of a volume free and can't work on a smaller one.
const SIZE_MIN: u64 = 64 << 20;
/// The fixed overhead of a strand exceeds a smaller size.
const MAX_SIZE_MIN: u64 = 1 << 20;

/// A rule that an integration breaks. Displayed as `FIELD: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Violation {
    /// Path of the field from the root of the resource, such as `spec.retention.maxAge`.
    pub field: String,
    /// The values that the field accepts.
    pub message: String,
}

/// What a rule looks at.
pub(crate) struct Subject<'a> {
    name: &'a str,
    spec: &'a BoboykaIntegrationSpec,
}

/// One rule.
pub(crate) struct Rule {
    /// Path of the object whose schema carries the rule, as properties from the root.
    pub(crate) at: &'static [&'static str],
    /// Path of the field that the message names.
    pub(crate) field: &'static str,
    /// The message of a violation.
    pub(crate) message: &'static str,
    /// The expression that the API server evaluates.
    pub(crate) cel: &'static str,
    /// The same check in Rust; `None` when the expression uses `oldSelf`.
    is_kept: Option<fn(&Subject<'_>) -> bool>,
}

/// Checks an integration as the API server does on creation, and returns every rule that it breaks.
pub fn check(name: &str, spec: &BoboykaIntegrationSpec) -> Vec<Violation> {
    let subject = Subject { name, spec };
    let broken = RULES
        .iter()
        .filter(|rule| rule.is_kept.is_some_and(|is_kept| !is_kept(&subject)));
    broken
        .map(|rule| Violation {
            field: rule.field.to_owned(),
            message: rule.message.to_owned(),
        })
        .collect()
}

/// Checks the tables of the mirror alone, for a sidecar that has them without an integration.
pub fn check_tables(tables: &BTreeMap<String, MirrorTable>) -> Vec<Violation> {
    let mirror = crate::Mirror {
        tables: tables.clone(),
        ..crate::Mirror::default()
    };
    let supabase = crate::Supabase {
        mirror: Some(mirror),
        secret_ref: crate::SecretReference {
            name: "none".to_owned(),
            ..crate::SecretReference::default()
        },
    };
    let spec = BoboykaIntegrationSpec {
        supabase: Some(supabase),
        ..BoboykaIntegrationSpec::default()
    };
    check("none", &spec)
}

/// The number of rules: a complete table of fixtures has at least as many refused cases.
pub const COUNT: usize = RULES.len();

/// The object whose schema carries the rules about tables.
const TABLES: &[&str] = &["spec", "supabase", "mirror", "tables"];

/// All rules: those about one field first, then those about several, then those about a change.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        at: &[],
        field: "metadata.name",
        message: "must have at most 40 characters and no dots, because the names of its strands and their labels begin with it",
        cel: "self.metadata.name.size() <= 40 && !self.metadata.name.contains('.')",
        is_kept: Some(|s| s.name.len() <= NAME_MAX && !s.name.contains('.')),
    },
    Rule {
        at: &["spec", "supabase", "secretRef"],
        field: "spec.supabase.secretRef.name",
        message: "must be the name of a Secret, 1 to 253 characters",
        cel: "self.name.size() >= 1 && self.name.size() <= 253",
        is_kept: Some(|s| secret(s).is_none_or(|secret| (1..=253).contains(&secret.name.len()))),
    },
    Rule {
        at: &["spec", "supabase", "secretRef"],
        field: "spec.supabase.secretRef.keyKey",
        message: "must differ from urlKey: the URL and the service key are stored under two keys of the Secret",
        cel: "self.keyKey != self.urlKey",
        is_kept: Some(|s| secret(s).is_none_or(|secret| secret.key_key != secret.url_key)),
    },
    Rule {
        at: &["spec", "supabase", "mirror"],
        field: "spec.supabase.mirror.ackTimeout",
        message: "must be a duration from 0s to 30s, such as 2s",
        cel: "self.ackTimeout.matches('^([0-9]+(h|m|s|ms))+$') && duration(self.ackTimeout) <= duration('30s')",
        is_kept: Some(|s| {
            mirror(s).is_none_or(|m| {
                duration(&m.ack_timeout).is_some_and(|time| time.as_millis() <= 30_000)
            })
        }),
    },
    Rule {
        at: &["spec", "supabase", "mirror"],
        field: "spec.supabase.mirror.batchRows",
        message: "must be a number from 1 to 500",
        cel: "self.batchRows >= 1 && self.batchRows <= 500",
        is_kept: Some(|s| mirror(s).is_none_or(|m| (1..=500).contains(&m.batch_rows))),
    },
    Rule {
        at: TABLES,
        field: "spec.supabase.mirror.tables",
        message: "must be named by record type: project_build, build_queue_item, agent_health or audit_log",
        cel: "self.all(type, type in ['project_build', 'build_queue_item', 'agent_health', 'audit_log'])",
        is_kept: Some(|s| {
            tables(s).is_none_or(|tables| {
                tables
                    .keys()
                    .all(|name| RECORD_TYPES.contains(&name.as_str()))
            })
        }),
    },
    Rule {
        at: TABLES,
        field: "spec.supabase.mirror.tables",
        message: "table, key and columns must have names of 1 to 63 letters, digits and underscores that do not begin with a digit",
        cel: "self.all(type, (!has(self[type].table) || self[type].table.matches('^[A-Za-z_][A-Za-z0-9_]{0,62}$')) && (!has(self[type].key) || self[type].key.matches('^ *[A-Za-z_][A-Za-z0-9_]{0,62} *(, *[A-Za-z_][A-Za-z0-9_]{0,62} *)*$')) && (!has(self[type].columns) || self[type].columns.all(field, self[type].columns[field].matches('^[A-Za-z_][A-Za-z0-9_]{0,62}$'))))",
        is_kept: Some(|s| {
            tables(s).is_none_or(|tables| tables.values().all(MirrorTable::names_are_plain))
        }),
    },
    Rule {
        at: TABLES,
        field: "spec.supabase.mirror.tables",
        message: "two fields of a record type can't have the same column",
        cel: "self.all(type, !has(self[type].columns) || self[type].columns.all(a, self[type].columns.exists_one(b, self[type].columns[a] == self[type].columns[b])))",
        is_kept: Some(|s| {
            tables(s).is_none_or(|tables| tables.values().all(MirrorTable::columns_differ))
        }),
    },
    Rule {
        at: TABLES,
        field: "spec.supabase.mirror.tables",
        message: "audit_log needs a key for the mode latest, because an audit_log has no key of its own",
        cel: "!('audit_log' in self) || !has(self['audit_log'].mode) || self['audit_log'].mode != 'latest' || has(self['audit_log'].key)",
        is_kept: Some(|s| {
            let audit_log = tables(s).and_then(|tables| tables.get("audit_log"));
            audit_log.is_none_or(|t| t.mode != Some(MirrorMode::Latest) || t.key.is_some())
        }),
    },
    Rule {
        at: &["spec", "retention"],
        field: "spec.retention.maxAge",
        message: "must be a duration of at least 1m, such as 720h; the units are h, m, s and ms",
        cel: "!has(self.maxAge) || (self.maxAge.matches('^([0-9]+(h|m|s|ms))+$') && duration(self.maxAge) >= duration('1m'))",
        is_kept: Some(|s| {
            let age = s.spec.retention.as_ref().and_then(|r| r.max_age.as_deref());
            age.is_none_or(|age| duration(age).is_some_and(|age| age.as_secs() >= 60))
        }),
    },
    Rule {
        at: &["spec", "retention"],
        field: "spec.retention.maxSize",
        message: "must be a size of at least 1Mi, such as 8Gi",
        cel: "!has(self.maxSize) || (self.maxSize.matches('^[0-9]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self.maxSize).compareTo(quantity('1Mi')) >= 0)",
        is_kept: Some(|s| {
            max_size(s.spec).is_none_or(|size| bytes(size).is_some_and(|size| size >= MAX_SIZE_MIN))
        }),
    },
    Rule {
        at: &["spec", "storage"],
        field: "spec.storage.size",
        message: "must be a size of at least 64Mi, such as 10Gi",
        cel: "!has(self.size) || (self.size.matches('^[0-9]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self.size).compareTo(quantity('64Mi')) >= 0)",
        is_kept: Some(|s| {
            size(s.spec).is_none_or(|size| bytes(size).is_some_and(|size| size >= SIZE_MIN))
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
        message: "must be a size of at least 64Mi, such as 1Gi",
        cel: "!has(self.sizeLimit) || (self.sizeLimit.matches('^[0-9]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self.sizeLimit).compareTo(quantity('64Mi')) >= 0)",
        is_kept: Some(|s| {
            let limit = ephemeral(s.spec).and_then(|e| e.size_limit.as_deref());
            limit.is_none_or(|limit| bytes(limit).is_some_and(|limit| limit >= SIZE_MIN))
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
        at: &["spec"],
        field: "spec.phase",
        message: "must move forward one step at a time: DualWrite, then MigrateInternals, then CutOver",
        cel: "!(oldSelf.phase == 'DualWrite' && self.phase == 'CutOver')",
        is_kept: None,
    },
    Rule {
        at: &["spec"],
        field: "spec.storage.ephemeral",
        message: "can't be added or removed after creation: create another integration instead",
        cel: "(has(self.storage) && has(self.storage.ephemeral)) == (has(oldSelf.storage) && has(oldSelf.storage.ephemeral))",
        is_kept: None,
    },
    Rule {
        at: &["spec"],
        field: "spec.storage.size",
        message: "can't be decreased, because volumes can't shrink",
        cel: "!has(self.storage) || !has(self.storage.size) || !has(oldSelf.storage) || !has(oldSelf.storage.size) || !isQuantity(self.storage.size) || !isQuantity(oldSelf.storage.size) || quantity(self.storage.size).compareTo(quantity(oldSelf.storage.size)) >= 0",
        is_kept: None,
    },
];

fn secret<'a>(subject: &Subject<'a>) -> Option<&'a crate::SecretReference> {
    subject
        .spec
        .supabase
        .as_ref()
        .map(|supabase| &supabase.secret_ref)
}

fn mirror<'a>(subject: &Subject<'a>) -> Option<&'a crate::Mirror> {
    subject
        .spec
        .supabase
        .as_ref()
        .and_then(|supabase| supabase.mirror.as_ref())
}

fn tables<'a>(subject: &Subject<'a>) -> Option<&'a BTreeMap<String, MirrorTable>> {
    mirror(subject).map(|mirror| &mirror.tables)
}

fn max_size(spec: &BoboykaIntegrationSpec) -> Option<&str> {
    spec.retention
        .as_ref()
        .and_then(|retention| retention.max_size.as_deref())
}

fn size(spec: &BoboykaIntegrationSpec) -> Option<&str> {
    spec.storage
        .as_ref()
        .and_then(|storage| storage.size.as_deref())
}

fn ephemeral(spec: &BoboykaIntegrationSpec) -> Option<&crate::Ephemeral> {
    spec.storage
        .as_ref()
        .and_then(|storage| storage.ephemeral.as_ref())
}
