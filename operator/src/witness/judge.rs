//! Whether the operator cosigns a checkpoint, and what of a strand's log contradicts what it cosigned. Pure.

use boboyka_crds::{Contradiction, ContradictionKind, EarlierLog, Held};
use boboyka_tlog::note::Signature;
use boboyka_tlog::witness::{AddCheckpoint, Refusal, decide};
use boboyka_tlog::{Checkpoint, VerifierKey};

use super::memory::{Cosigned, INCARNATIONS_MAX, Memory};
use super::origin::Origin;

/// What the sidecar that holds a strand reports of its log.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub(super) origin: String,
    pub(super) key: VerifierKey,
    pub(super) earlier: Vec<EarlierLog>,
}

/// A checkpoint that may be cosigned.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) checkpoint: Checkpoint,
    pub(super) key: VerifierKey,
    pub(super) signature: Signature,
}

impl Accepted {
    /// What is remembered of it once it is cosigned at this time.
    pub(super) fn cosigned(&self, origin: Origin, seconds: u64) -> Cosigned {
        Cosigned {
            origin,
            size: self.checkpoint.size(),
            root: self.checkpoint.root(),
            key: self.key.clone(),
            signature: self.signature.clone(),
            seconds,
        }
    }
}

/// A decision, and what contradicts what was cosigned: also a request that is granted can show that the log before it was.
pub(super) type Judged = (Result<Accepted, No>, Option<Contradiction>);

/// Why it may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum No {
    /// The protocol says so.
    #[error(transparent)]
    Protocol(#[from] Refusal),
    /// It is an incarnation that does not say what it follows.
    #[error(
        "the log {origin} does not name its predecessor {predecessor}, of which size {size} was cosigned here"
    )]
    Predecessor {
        origin: Origin,
        predecessor: Origin,
        size: u64,
    },
    /// An older incarnation that was never cosigned here.
    #[error("the log {0} is older than {1}, which was cosigned here")]
    Ended(Origin, Origin),
    /// The strand has had too many.
    #[error("the strand has had {INCARNATIONS_MAX} incarnations of its log, which is the most")]
    Incarnations,
}

/// Judges a request by what was cosigned of the strand, and for an origin that is new by what its sidecar reports.
pub(super) fn judge(
    request: &AddCheckpoint,
    origin: Origin,
    memory: &Memory,
    reported: Option<&Reported>,
) -> Judged {
    if let Some(last) = memory.of(origin) {
        return (
            accept(request, &last.key, Some(last)),
            forked(request, last),
        );
    }
    let reported = reported.filter(|reported| reported.origin == origin.to_string());
    let Some(reported) = reported else {
        let unknown = Refusal::Origin(origin.to_string());
        return (Err(unknown.into()), None);
    };
    let followed = memory.0.last();
    match followed.map(|last| follows(origin, last, reported, memory)) {
        Some(Err(no)) => (Err(no), None),
        Some(Ok(contradiction)) => (accept(request, &reported.key, None), contradiction),
        None => (accept(request, &reported.key, None), None),
    }
}

fn accept(
    request: &AddCheckpoint,
    key: &VerifierKey,
    last: Option<&Cosigned>,
) -> Result<Accepted, No> {
    let last = last.map(|last| (last.size, last.root));
    let checkpoint = decide(request, std::slice::from_ref(key), last)?;
    let mut signatures = request.checkpoint.signatures().iter();
    let signature = signatures.find(|one| one.claims(key)).cloned();
    let signature = signature.ok_or_else(|| Refusal::Origin(key.name().to_owned()))?;
    Ok(Accepted {
        checkpoint,
        key: key.clone(),
        signature,
    })
}

/// Two roots for one size, both signed by the log, are a fork whoever shows them. A proof that fails is none by itself:
/// anybody can send a wrong one.
fn forked(request: &AddCheckpoint, last: &Cosigned) -> Option<Contradiction> {
    let shown = Checkpoint::verify(&request.checkpoint, std::slice::from_ref(&last.key));
    let (shown, _) = shown.ok()?;
    let is_other = shown.size() == last.size && shown.root() != last.root;
    is_other.then(|| {
        let message = format!(
            "the log signed two trees of size {}: the one that was cosigned, and one with the root {}",
            last.size,
            shown.root()
        );
        contradiction(ContradictionKind::Forked, last, message)
    })
}

/// Whether a new incarnation names the newest one that was cosigned, and whether it holds what was.
fn follows(
    origin: Origin,
    last: &Cosigned,
    reported: &Reported,
    memory: &Memory,
) -> Result<Option<Contradiction>, No> {
    if origin.number < last.origin.number {
        return Err(No::Ended(origin, last.origin));
    }
    if memory.0.len() >= INCARNATIONS_MAX {
        return Err(No::Incarnations);
    }
    let name = last.origin.to_string();
    let named = reported.earlier.iter().find(|one| one.origin == name);
    let named = named.ok_or(No::Predecessor {
        origin,
        predecessor: last.origin,
        size: last.size,
    })?;
    Ok(lost(origin, last, named))
}

fn lost(origin: Origin, last: &Cosigned, named: &EarlierLog) -> Option<Contradiction> {
    let size = u64::try_from(named.size).unwrap_or_default();
    let (kind, what) = if size < last.size {
        let what = format!("knows of {size} of them only");
        (ContradictionKind::Rewound, what)
    } else if size == last.size && named.root != last.root.to_string() {
        let what = "knows of another tree of this size".to_owned();
        (ContradictionKind::Forked, what)
    } else {
        match named.held {
            Held::Whole => return None,
            Held::Fewer => (ContradictionKind::Rewound, "has fewer".to_owned()),
            Held::Others => (
                ContradictionKind::Forked,
                "has others in their place".to_owned(),
            ),
        }
    };
    let message = format!(
        "{} records of the log {} were cosigned, and the strand {what}; the log goes on as {origin}",
        last.size, last.origin
    );
    Some(contradiction(kind, last, message))
}

fn contradiction(kind: ContradictionKind, last: &Cosigned, message: String) -> Contradiction {
    Contradiction {
        kind,
        origin: last.origin.to_string(),
        size: i64::try_from(last.size).unwrap_or(i64::MAX),
        root: last.root.to_string(),
        message,
    }
}

impl No {
    /// The status of the answer.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Protocol(refusal) => refusal.status(),
            Self::Predecessor { .. } | Self::Ended(..) | Self::Incarnations => 403,
        }
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> String {
        match self {
            Self::Protocol(refusal) => refusal.body(),
            Self::Predecessor { .. } | Self::Ended(..) | Self::Incarnations => format!("{self}\n"),
        }
    }
}

#[cfg(test)]
mod tests;
