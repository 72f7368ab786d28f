//! The check of the list of legacy projects, where it is in a ConfigMap. Pure.

use super::facts::Facts;
use super::finding::Finding;
use crate::caches::Unread;
use crate::reason::Reason;

/// Whether the ConfigMap that the integration names has a list. Without one, the list in force stays.
pub(super) fn legacy_projects_read(facts: &Facts<'_>) -> Option<Finding> {
    let unread = match facts.seen.names.as_ref()? {
        Ok(names) => {
            let told = format!("{} names of legacy projects were read", names.len());
            return Some(Finding::yes(Reason::AsExpected, told));
        }
        Err(unread) => unread,
    };
    let reason = match unread {
        Unread::Wrong { .. } => Reason::LegacyListInvalid,
        Unread::NotOurs { .. } | Unread::Refused(_) | Unread::Missing(_) | Unread::NoKey { .. } => {
            Reason::LegacyListMissing
        }
    };
    let why = format!("spec.migration.legacyProjectsFrom: {unread}; the list in force stays");
    Some(Finding::no(reason, why))
}
