//! The rules about Supabase: the Secret, the mirror and its tables.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pattern::{duration_text, matches, object_name, secret_key};
use super::rule::{Rule, Subject};
use crate::quantity::lasts_at_most;
use crate::table::{MirrorMode, MirrorTable, RECORD_TYPES};

/// The object whose schema carries the rules about tables.
const TABLES: &[&str] = &["spec", "supabase", "mirror", "tables"];

const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(30);

const KEY: &str = "must be a key that a Secret can have: letters, digits, '-', '_' and '.', and not '.' or beginning with '..'";

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: &["spec", "supabase", "secretRef"],
        field: "spec.supabase.secretRef.name",
        message: "must be the name of a Secret: lower-case letters, digits, '-' and '.', 1 to 253 characters",
        cel: concat!(
            "self.name.size() <= 253 && self.name.matches(r'",
            object_name!(),
            "')"
        ),
        is_kept: Some(|s| {
            secret(s).is_none_or(|one| one.name.len() <= 253 && matches(object_name!(), &one.name))
        }),
    },
    Rule {
        at: &["spec", "supabase", "secretRef"],
        field: "spec.supabase.secretRef.urlKey",
        message: KEY,
        cel: concat!("self.urlKey.matches(r'", secret_key!(), "')"),
        is_kept: Some(|s| secret(s).is_none_or(|one| matches(secret_key!(), &one.url_key))),
    },
    Rule {
        at: &["spec", "supabase", "secretRef"],
        field: "spec.supabase.secretRef.keyKey",
        message: KEY,
        cel: concat!("self.keyKey.matches(r'", secret_key!(), "')"),
        is_kept: Some(|s| secret(s).is_none_or(|one| matches(secret_key!(), &one.key_key))),
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
        cel: concat!(
            "self.ackTimeout.matches('",
            duration_text!(),
            "') && duration(self.ackTimeout) <= duration('30s')"
        ),
        is_kept: Some(|s| mirror(s).is_none_or(|m| lasts_at_most(&m.ack_timeout, ACK_TIMEOUT_MAX))),
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
