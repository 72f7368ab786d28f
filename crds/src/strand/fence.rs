//! A fence: why a strand is given to no pod, and who said so.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps a strand from being given to a pod. A pod that holds it keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// Why, in one line of up to 500 characters, for those who wait for the strand.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"^[^\r\n]*\S[^\r\n]*$"))]
    pub reason: String,
    /// Who fenced the strand or changed the reason last. The operator sets it at the admission of the change; absent if it
    /// did not answer then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When that was, by the operator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// `fenced by USER (REASON)`.
impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fenced")?;
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        write!(f, " ({})", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_says_who_and_why() {
        let mut fence = Fence {
            reason: "the disk is suspect".to_owned(),
            ..Fence::default()
        };
        assert_eq!(fence.to_string(), "fenced (the disk is suspect)");
        fence.by = Some("alice".to_owned());
        assert_eq!(fence.to_string(), "fenced by alice (the disk is suspect)");
    }
}
