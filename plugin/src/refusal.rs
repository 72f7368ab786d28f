//! Why the API server gave no answer, in words that say what to do.

use std::fmt;

use kube::client::UpgradeConnectionError;

use crate::causes::causes;

/// What was asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Such as `list`.
    pub(crate) verb: &'static str,
    /// The resource with its group, such as `boboykastrands.boboyka.sapixdb.com`.
    pub(crate) resource: String,
    /// Empty for resources of the whole cluster, and for all namespaces.
    pub(crate) namespace: String,
    /// The object's name; empty for lists.
    pub(crate) name: String,
}

impl Asked {
    /// What it means that there is none.
    fn absent(&self) -> &'static str {
        if self.name.is_empty() {
            "the cluster does not know this resource; `kubectl boboyka check` shows whether the product is installed"
        } else {
            "it does not exist"
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.namespace.is_empty() {
            write!(f, " in namespace {}", self.namespace)?;
        }
        Ok(())
    }
}

/// What was read, or why not.
pub(crate) type Read<T> = Result<T, Refusal>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The user lacks a right.
    #[error("you may not {0}: ask an administrator of the cluster for this right")]
    Right(Asked),
    /// The cluster does not have the kind of object, or not the object.
    #[error("could not {0}: {reason}", reason = .0.absent())]
    Missing(Asked),
    /// The API server does not accept it.
    #[error("could not {asked}: {why}")]
    Refused {
        /// What.
        asked: Asked,
        /// Its words.
        why: String,
    },
    /// There was no answer in time.
    #[error(
        "could not {asked}: no answer within {seconds} s; is the cluster reachable? --request-timeout sets the limit"
    )]
    Late {
        /// What.
        asked: Asked,
        /// The limit.
        seconds: u64,
    },
    /// The API server can't be reached, or the answer can't be read.
    #[error("could not {asked}: {why}")]
    Failed {
        /// What.
        asked: Asked,
        /// The causes.
        why: String,
    },
}

impl Refusal {
    /// Reads what kube says.
    pub(crate) fn of(asked: Asked, error: &kube::Error) -> Self {
        if let kube::Error::Api(status) = error {
            return match status.code {
                403 => Self::forbidden(asked, &status.message),
                404 => Self::Missing(asked),
                _ => Self::Refused {
                    asked,
                    why: said(&status.message, &status.reason),
                },
            };
        }
        let switch = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
        if let Some(UpgradeConnectionError::ProtocolSwitch(code)) = switch {
            return Self::not_upgraded(asked, code.as_u16());
        }
        Self::Failed {
            asked,
            why: causes(error),
        }
    }

    /// An answer of 403 is the lack of a right, or the refusal of a policy, which says why.
    fn forbidden(asked: Asked, message: &str) -> Self {
        if message.contains("\" cannot ") || message.is_empty() {
            return Self::Right(asked);
        }
        Self::Refused {
            asked,
            why: message.to_owned(),
        }
    }

    fn not_upgraded(asked: Asked, code: u16) -> Self {
        match code {
            403 => Self::Right(asked),
            404 => Self::Missing(asked),
            _ => Self::Failed {
                why: format!("the API server answered {code} instead of opening a connection"),
                asked,
            },
        }
    }

    /// Whether the API server said nothing, so that it would say nothing to the next question either.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Late { .. } | Self::Failed { .. })
    }

    /// Whether the user lacks a right.
    pub(crate) fn is_right(&self) -> bool {
        matches!(self, Self::Right(_))
    }

    /// Whether the cluster does not have it.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

fn said(message: &str, reason: &str) -> String {
    if message.is_empty() { reason } else { message }.to_owned()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn asked() -> Asked {
        Asked {
            verb: "list",
            resource: "boboykastrands.boboyka.sapixdb.com".to_owned(),
            namespace: "agents".to_owned(),
            name: String::new(),
        }
    }

    fn told(code: u16, message: &str) -> String {
        let status = Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        };
        Refusal::of(asked(), &kube::Error::Api(Box::new(status))).to_string()
    }

    #[test]
    fn a_missing_right_is_named_by_verb_resource_and_namespace() {
        let message =
            r#"boboykastrands.boboyka.sapixdb.com is forbidden: User "jane" cannot list resource"#;
        assert_eq!(
            told(403, message),
            "you may not list boboykastrands.boboyka.sapixdb.com in namespace agents: \
             ask an administrator of the cluster for this right"
        );
    }

    #[test]
    fn a_refusal_by_a_policy_keeps_the_words_of_the_policy() {
        let message =
            "ValidatingAdmissionPolicy 'boboyka-strands' denied request: only the operator may";
        assert!(told(403, message).ends_with("only the operator may"));
    }

    #[test]
    fn a_port_that_may_not_be_forwarded_is_a_missing_right() {
        let switch = UpgradeConnectionError::ProtocolSwitch(http::StatusCode::FORBIDDEN);
        let refusal = Refusal::of(asked(), &kube::Error::UpgradeConnection(switch));
        assert!(refusal.is_right(), "{refusal}");
    }
}
