//! The rules about the archive. A place is read as the flag of the sidecar is; the pattern says the same to the API server.

use super::pattern::{duration_text, matches, object_name};
use super::rule::{Rule, Subject};
use crate::archive::{Archive, Place, archive_after};

const ARCHIVE: &[&str] = &["spec", "archive"];

/// A part of a path that is not empty, `.` or `..`.
macro_rules! part {
    () => {
        r"([^/@?#.][^/@?#]*|\.[^/@?#.][^/@?#]*|\.\.[^/@?#]+)"
    };
}

/// Parts with slashes between them, and perhaps after them.
macro_rules! parts {
    () => {
        concat!(part!(), "(/", part!(), ")*/*")
    };
}

/// What [`Place`] reads.
macro_rules! place {
    () => {
        concat!(
            "^(s3://[-A-Za-z0-9._]+(/+(",
            parts!(),
            ")?)?|file:///+",
            parts!(),
            ")$"
        )
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        at: ARCHIVE,
        field: "spec.archive.url",
        message: "must be s3://BUCKET/PREFIX, or without a cluster file:///FOLDER, with no user, password, query or fragment, and with no empty part, no . and no .. in its path",
        cel: concat!("self.url.matches(r'", place!(), "')"),
        is_kept: Some(|s| archive(s).is_none_or(|one| one.url.parse::<Place>().is_ok())),
    },
    Rule {
        at: ARCHIVE,
        field: "spec.archive.url",
        message: "can't be a folder in a cluster, where pods have no folder in common and that of a node ends with it: name a bucket as s3://BUCKET/PREFIX",
        cel: "!self.url.startsWith('file://')",
        // A sidecar without a cluster has a folder.
        is_kept: None,
    },
    Rule {
        at: &["spec", "archive", "secretRef"],
        field: "spec.archive.secretRef.name",
        message: "must be the name of a Secret: lower-case letters, digits, '-' and '.', 1 to 253 characters",
        cel: concat!(
            "self.name.size() <= 253 && self.name.matches(r'",
            object_name!(),
            "')"
        ),
        is_kept: Some(|s| {
            let secret = archive(s).and_then(Archive::secret);
            secret.is_none_or(|name| name.len() <= 253 && matches(object_name!(), name))
        }),
    },
    Rule {
        at: ARCHIVE,
        field: "spec.archive.after",
        message: "must be a duration of at most 8760h, such as 1h; the units are h, m, s and ms",
        cel: concat!(
            "self.after.matches('",
            duration_text!(),
            "') && duration(self.after) <= duration('8760h')"
        ),
        is_kept: Some(|s| archive(s).is_none_or(|one| archive_after(&one.after).is_some())),
    },
];

fn archive<'a>(subject: &Subject<'a>) -> Option<&'a Archive> {
    subject.spec.archive.as_ref()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_pattern_and_the_parser_accept_the_same_places(
            begin in "(s3://|file://|https://|)",
            rest in "[a.B1/_@?#-]{0,12}",
        ) {
            let text = format!("{begin}{rest}");
            prop_assert_eq!(matches(place!(), &text), text.parse::<Place>().is_ok(), "{}", text);
        }
    }
}
