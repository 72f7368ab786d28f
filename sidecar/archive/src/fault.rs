//! Why an archive does not take what it is given, with what to do next. Pure. What a server answers is not repeated: it may echo
//! parts of a request.

use std::fmt;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The settings are no settings, or a file of them can't be read.
    Settings,
    /// Nobody answers.
    Unreachable,
    /// The server answers that it can't now.
    Busy,
    /// The key is wrong, or may not do this.
    Refused,
    /// There is no such bucket or folder.
    Missing,
    /// Something else has the name of the object.
    Conflict,
    /// The strand's own file can't be read or does not hold.
    Damaged,
    /// The pod was made before the integration named the Secret.
    Unmounted,
    /// Something else.
    Failed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Settings,
        Self::Unreachable,
        Self::Busy,
        Self::Refused,
        Self::Missing,
        Self::Conflict,
        Self::Damaged,
        Self::Unmounted,
        Self::Failed,
    ];

    /// Its name, in statuses and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::Damaged => "damaged",
            Self::Unmounted => "unmounted",
            Self::Failed => "failed",
        }
    }

    /// What to do about it.
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::Settings => {
                "correct the AWS_* variables, the files of --archive-dir, or the Secret of spec.archive.secretRef"
            }
            Self::Unreachable => "check AWS_ENDPOINT, the network and the store; it is tried again",
            Self::Busy => "it is tried again; look at the store if this goes on",
            Self::Refused => {
                "check the key, and that it may list the bucket and get and put objects below the prefix"
            }
            Self::Missing => "create the bucket or folder, or correct its URL",
            Self::Conflict => {
                "two strands, or two copies of one, write there: find out which one is right, and give the other one another prefix"
            }
            Self::Damaged => "the strand is damaged: run boboyka-sidecar verify",
            Self::Unmounted => {
                "restart the workload of the pod: its new pods have the Secret mounted"
            }
            Self::Failed => "it is tried again",
        }
    }
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind it is.
    pub kind: Kind,
    /// The object or place.
    pub what: String,
    /// What happened.
    pub why: String,
}

impl Fault {
    /// Of a kind, on an object or a place.
    pub fn new(kind: Kind, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.kind.next_step())
    }
}

impl std::error::Error for Fault {}
