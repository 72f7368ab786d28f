//! The patterns of names and durations, each once: as part of a CEL expression, and those of names as a regular expression in
//! Rust too. Both engines read them alike.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regex::Regex;

/// A name as most objects of Kubernetes have it: labels of lower-case letters, digits and `-`, joined by dots.
macro_rules! object_name {
    () => {
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    };
}

/// A key of a Secret. It becomes the name of a file, so it can't begin with two dots or be a dot.
macro_rules! secret_key {
    () => {
        r"^(\.[-_a-zA-Z0-9]|[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"
    };
}

/// A reference of an image: registry, repository, tag, digest, as the distribution specification spells it.
macro_rules! image {
    () => {
        concat!(
            r"^((\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*)(:[0-9]+)?/)?",
            r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*",
            r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@[A-Za-z][-A-Za-z0-9+._]*:[0-9a-fA-F]{32,128})?$",
        )
    };
}

/// The key of a label: a name, and before it a domain and a slash if it has one.
macro_rules! label_key {
    () => {
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    };
}

/// The value of a label; empty is one.
macro_rules! label_value {
    () => {
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
    };
}

/// A duration, as `quantity::duration` reads it.
macro_rules! duration_text {
    () => {
        "^([0-9]+(h|m|s|ms))+$"
    };
}

pub(super) use {duration_text, image, label_key, label_value, object_name, secret_key};

/// The patterns that were used so far: to read one takes far longer than to match it, and every admission matches some.
static READ: Mutex<BTreeMap<&str, Option<Regex>>> = Mutex::new(BTreeMap::new());

/// Whether a text is as a pattern of this module says.
pub(super) fn matches(pattern: &'static str, text: &str) -> bool {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let pattern = read
        .entry(pattern)
        .or_insert_with(|| Regex::new(pattern).ok());
    pattern.as_ref().is_some_and(|one| one.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn references_of_images_are_those_of_the_distribution_specification() {
        let digest = format!("@sha256:{}", "0a".repeat(32));
        for image in [
            "sidecar",
            "localhost/boboyka-sidecar:1",
            "registry.example.com:5000/team/boboyka_sidecar:v1",
            "[fd00::1]:5000/sidecar",
            &format!("registry.example.com/a/b-c__d.e:V1.0{digest}"),
            &format!("sidecar{digest}"),
        ] {
            assert!(matches(image!(), image), "{image}");
        }
        for image in [
            "",
            "UPPER CASE",
            "Upper",
            "a:",
            "a/",
            "/a",
            "a//b",
            "a:b:c",
            "a@sha256:12",
            "a b",
            "https://a/b",
        ] {
            assert!(!matches(image!(), image), "{image}");
        }
    }

    #[test]
    fn keys_of_secrets_leave_no_folder() {
        for key in ["url", ".hidden", "SERVICE_KEY", "a-b.c", "a..b"] {
            assert!(matches(secret_key!(), key), "{key}");
        }
        for key in ["", ".", "..", "..a", "a/b", "a b"] {
            assert!(!matches(secret_key!(), key), "{key}");
        }
    }
}
