//! Where the names of legacy projects are read from when there are thousands of them: a key of a ConfigMap, one name a line.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::legacy::{NAME_MAX, NAMES_MAX, is_name};

/// Most bytes of all names together: the status has them, and an API server stores no object of more than 1.5 MiB.
const BYTES_MAX: usize = 512 * 1024;

/// Where the names of legacy projects are read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LegacyProjectsFrom {
    /// A key of a ConfigMap in the same namespace.
    pub config_map_key_ref: ConfigMapKeyReference,
}

/// Refers to a key of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyReference {
    /// Name of a ConfigMap in the same namespace. The operator must be permitted to read it: the value
    /// `legacyProjects.configMaps` of its chart names those that it may read, by default `boboyka-legacy-projects`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the ConfigMap whose value has the names, one a line.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl fmt::Display for ConfigMapKeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of ConfigMap {}", self.key, self.name)
    }
}

/// Why a value is no list of names. It repeats nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongNames {
    /// A line is no name.
    #[error("line {0}: must be a name of 1 to {NAME_MAX} characters without control characters")]
    Name(usize),
    /// There are too many.
    #[error("line {0}: must have at most {NAMES_MAX} names")]
    TooMany(usize),
    /// They are too long for a status.
    #[error("line {0}: the names up to here must have at most {BYTES_MAX} bytes together")]
    TooLong(usize),
    /// There is none.
    #[error(
        "must have a name: to take every project off the list, remove spec.migration.legacyProjectsFrom"
    )]
    None,
}

impl WrongNames {
    /// The line, from 1, if it is about one.
    pub fn line(self) -> Option<usize> {
        match self {
            Self::Name(line) | Self::TooMany(line) | Self::TooLong(line) => Some(line),
            Self::None => None,
        }
    }
}

/// The names in a value, one a line. White space around a name is no part of it. A line that has nothing else, or that begins
/// with `#`, has no name.
///
/// # Errors
/// The first thing that is wrong.
pub fn names_in(value: &str) -> Result<Vec<String>, WrongNames> {
    let (mut names, mut bytes) = (Vec::new(), 0);
    for (before, line) in value.lines().enumerate() {
        let name = line.trim();
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        if !is_name(name) {
            return Err(WrongNames::Name(before + 1));
        }
        if names.len() == NAMES_MAX {
            return Err(WrongNames::TooMany(before + 1));
        }
        bytes += name.len();
        if bytes > BYTES_MAX {
            return Err(WrongNames::TooLong(before + 1));
        }
        names.push(name.to_owned());
    }
    if names.is_empty() {
        return Err(WrongNames::None);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{WrongNames, names_in};

    #[test]
    fn each_line_is_a_name_and_blank_lines_and_comments_are_none() {
        let value = "proj_b\r\n\n  # of the old team\n\tProjekt \u{c4} / 1 \nproj_b#2\n";
        let names = ["proj_b", "Projekt \u{c4} / 1", "proj_b#2"];
        assert_eq!(names_in(value).unwrap(), names);
    }

    #[test]
    fn what_is_no_list_is_named_by_its_line_and_not_repeated() {
        let long = format!("a\n\n{}", "\u{e4}".repeat(257));
        let many = "a\n".repeat(5001);
        let large = format!("{}\n", "a".repeat(256)).repeat(2049);
        for (value, wrong, line) in [
            ("a\nb\u{7}c\n", WrongNames::Name(2), Some(2)),
            (&long, WrongNames::Name(3), Some(3)),
            (&many, WrongNames::TooMany(5001), Some(5001)),
            (&large, WrongNames::TooLong(2049), Some(2049)),
            ("", WrongNames::None, None),
            ("\n# nobody\n", WrongNames::None, None),
        ] {
            assert_eq!(names_in(value), Err(wrong));
            assert_eq!(wrong.line(), line);
        }
        assert_eq!(
            WrongNames::Name(3).to_string(),
            "line 3: must be a name of 1 to 256 characters without control characters"
        );
        assert_eq!(
            WrongNames::TooLong(2049).to_string(),
            "line 2049: the names up to here must have at most 524288 bytes together"
        );
        assert_eq!(names_in(&"a\n".repeat(5000)).unwrap().len(), 5000);
        assert!(names_in(&"\u{e4}".repeat(256)).is_ok());
    }
}
