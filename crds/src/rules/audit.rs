//! The rules about witnesses. Whether a verifier key is one needs a hash, which an expression can't make: the sidecar says
//! so.

use std::collections::BTreeSet;

use super::pattern::matches;
use super::rule::{Rule, Subject};
use crate::audit::{Audit, AuditWitness, GROUP, OPERATOR};

const AUDIT: &[&str] = &["spec", "audit"];

/// Names of a policy that stand for something else.
const TAKEN: [&str; 3] = [OPERATOR, GROUP, "none"];

macro_rules! witness_name {
    () => {
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
    };
}

macro_rules! vkey {
    () => {
        r"^[^\s+]+[+][0-9a-f]{8}[+][A-Za-z0-9+/]{40,}={0,2}$"
    };
}

macro_rules! witness_url {
    () => {
        r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: AUDIT,
        field: "spec.audit.witnesses[].name",
        message: "must have 1 to 63 letters, digits, '-', '_' and '.', begin with a letter or digit, and not be operator, witnesses or none",
        cel: concat!(
            "!has(self.witnesses) || self.witnesses.all(one, one.name.matches(r'",
            witness_name!(),
            "') && !(one.name in ['operator', 'witnesses', 'none']))"
        ),
        is_kept: Some(|s| {
            all(s, |one| {
                matches(witness_name!(), &one.name) && !TAKEN.contains(&&*one.name)
            })
        }),
    },
    Rule {
        at: AUDIT,
        field: "spec.audit.witnesses[].name",
        message: "must differ from the names of the other witnesses",
        cel: "!has(self.witnesses) || self.witnesses.all(one, self.witnesses.exists_one(other, other.name == one.name))",
        is_kept: Some(|s| differ(s, |one| &one.name)),
    },
    Rule {
        at: AUDIT,
        field: "spec.audit.witnesses[].vkey",
        message: "must be a verifier key: NAME+ID+BASE64, with eight hexadecimal digits as ID",
        cel: concat!(
            "!has(self.witnesses) || self.witnesses.all(one, one.vkey.matches(r'",
            vkey!(),
            "'))"
        ),
        is_kept: Some(|s| all(s, |one| matches(vkey!(), &one.vkey))),
    },
    Rule {
        at: AUDIT,
        field: "spec.audit.witnesses[].vkey",
        message: "must differ from the keys of the other witnesses",
        cel: "!has(self.witnesses) || self.witnesses.all(one, self.witnesses.exists_one(other, other.vkey == one.vkey))",
        is_kept: Some(|s| differ(s, |one| &one.vkey)),
    },
    Rule {
        at: AUDIT,
        field: "spec.audit.witnesses[].url",
        message: "must be an http:// or https:// URL without user, query and fragment, such as https://witness.example",
        cel: concat!(
            "!has(self.witnesses) || self.witnesses.all(one, one.url.matches(r'",
            witness_url!(),
            "'))"
        ),
        is_kept: Some(|s| all(s, |one| matches(witness_url!(), &one.url))),
    },
    Rule {
        at: AUDIT,
        field: "spec.audit.quorum",
        message: "must be all, any, or a number from 1 to that of the witnesses, of which the operator is one unless operatorWitness is false",
        cel: "self.quorum in ['all', 'any'] || self.quorum.matches('^[1-9][0-9]?$') && int(self.quorum) <= (has(self.witnesses) ? self.witnesses.size() : 0) + (self.operatorWitness ? 1 : 0)",
        is_kept: Some(|s| audit(s).is_none_or(quorum_is_reachable)),
    },
];

fn quorum_is_reachable(audit: &Audit) -> bool {
    let most = audit.witnesses.len() + usize::from(audit.operator_witness);
    let quorum = audit.quorum.as_str();
    matches!(quorum, "all" | "any")
        || matches("^[1-9][0-9]?$", quorum)
            && quorum.parse().is_ok_and(|least: usize| least <= most)
}

fn audit<'a>(subject: &Subject<'a>) -> Option<&'a Audit> {
    subject.spec.audit.as_ref()
}

fn all(subject: &Subject<'_>, is_kept: impl Fn(&AuditWitness) -> bool) -> bool {
    audit(subject).is_none_or(|audit| audit.witnesses.iter().all(is_kept))
}

fn differ(subject: &Subject<'_>, of: impl Fn(&AuditWitness) -> &String) -> bool {
    audit(subject).is_none_or(|audit| {
        let values: BTreeSet<&String> = audit.witnesses.iter().map(of).collect();
        values.len() == audit.witnesses.len()
    })
}
