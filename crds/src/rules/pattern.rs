//! The patterns of names, each once: as part of a CEL expression and as a regular expression in Rust. Both engines read
//! them alike.

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

pub(super) use {image, label_key, label_value, object_name, secret_key};

/// Whether a text is as a pattern of this module says.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}
