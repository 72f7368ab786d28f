//! The legal hold of an integration: whether it is on, since when, and by whom. Pure.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The legal hold of an integration, as somebody changed it last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LegalHold {
    /// Whether it is on, as `spec.retention.hold` says.
    pub active: bool,
    /// Generation of the specification that changed it last.
    pub generation: i64,
    /// Since when it is as it is.
    pub since: Time,
    /// Who changed it. Absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl LegalHold {
    /// The hold after a specification of a generation by somebody says `active`; `None` while there never was one.
    pub(crate) fn after(
        before: Option<&Self>,
        active: bool,
        (generation, by): (i64, Option<&str>),
        now: &Time,
    ) -> Option<Self> {
        if before.is_some_and(|before| before.active) == active {
            return before.cloned();
        }
        Some(Self {
            active,
            generation,
            since: now.clone(),
            by: by.map(ToOwned::to_owned),
        })
    }

    /// That somebody lifted it, if that happened between two statuses.
    pub fn lifted(before: Option<&Self>, after: Option<&Self>) -> Option<String> {
        let was = before.is_some_and(|before| before.active);
        let lifted = after.filter(|after| was && !after.active)?;
        let by = lifted.by.as_deref().unwrap_or("somebody");
        Some(format!(
            "{by} lifted the legal hold (spec.retention.hold): retention prunes again"
        ))
    }
}

/// A sentence about a hold that is on.
impl fmt::Display for LegalHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a legal hold keeps every record (spec.retention.hold)")?;
        match &self.by {
            Some(by) => write!(f, ", set by {by}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn it_keeps_who_set_it_until_somebody_lifts_it_and_then_who_lifted_it() {
        let none = LegalHold::after(None, false, (1, Some("a")), &at(1));
        assert_eq!(none, None);
        let set = LegalHold::after(None, true, (2, Some("b")), &at(2)).unwrap();
        let later = LegalHold::after(Some(&set), true, (3, Some("c")), &at(3)).unwrap();
        assert_eq!(later, set);
        assert_eq!(
            set.to_string(),
            "a legal hold keeps every record (spec.retention.hold), set by b"
        );
        let lifted = LegalHold::after(Some(&set), false, (4, Some("d")), &at(4)).unwrap();
        assert_eq!((lifted.active, lifted.generation), (false, 4));
        let told = LegalHold::lifted(Some(&set), Some(&lifted)).unwrap();
        assert!(told.starts_with("d lifted"), "{told}");
        for (before, after) in [
            (None, Some(&set)),
            (Some(&set), Some(&set)),
            (Some(&lifted), Some(&lifted)),
            (None, None),
        ] {
            assert_eq!(LegalHold::lifted(before, after), None);
        }
    }
}
