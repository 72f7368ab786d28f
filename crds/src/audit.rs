//! Who witnesses the transparency logs of the strands, and how a log stands.
//!
//! The doc comments become the text of `kubectl explain`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who witnesses the transparency logs of the strands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Whether the operator is a witness. Default: `true`. It stands in the same cluster as the strands, so name witnesses
    /// elsewhere as well if whoever administers the cluster must not be able to show two histories.
    #[serde(default = "yes")]
    pub operator_witness: bool,
    /// Witnesses elsewhere, which speak <https://c2sp.org/tlog-witness>. Sidecars ask each of them to cosign the newest
    /// checkpoint, at least every minute while the strand grows. Running sidecars apply changes without a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub witnesses: Vec<AuditWitness>,
    /// How many of the witnesses must have cosigned a checkpoint for the policy in `status.witnessPolicy` to accept it:
    /// `all`, `any`, or a number up to that of the witnesses. Default: `all`.
    #[serde(default = "all")]
    #[schemars(length(min = 1, max = 3))]
    pub quorum: String,
}

/// A witness elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditWitness {
    /// Its name in the policy: letters, digits, `-`, `_` and `.`; not `operator`, `witnesses` or `none`, which stand for
    /// something else there.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its verifier key, `NAME+ID+BASE64`, as <https://c2sp.org/signed-note> has it, of the type Ed25519 cosignature.
    #[schemars(length(min = 1, max = 512))]
    pub vkey: String,
    /// The URL in front of `/add-checkpoint`, such as `https://witness.example`.
    #[schemars(length(min = 1, max = 512))]
    pub url: String,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            operator_witness: true,
            witnesses: Vec::new(),
            quorum: all(),
        }
    }
}

fn yes() -> bool {
    true
}

fn all() -> String {
    "all".to_owned()
}

impl Audit {
    /// The witnesses and the quorum as a policy (<https://c2sp.org/tlog-policy>) without logs. `operator` is the operator's
    /// witness as its verifier key and URL, if there is one. `None` when nobody witnesses.
    pub fn policy(&self, operator: Option<(&str, &str)>) -> Option<String> {
        let own = operator.filter(|_| self.operator_witness);
        let own = own.map(|(vkey, url)| (OPERATOR, vkey, url));
        let others = self.witnesses.iter();
        let others = others.map(|one| (&*one.name, &*one.vkey, &*one.url));
        let all: Vec<(&str, &str, &str)> = own.into_iter().chain(others).collect();
        let lines = all
            .iter()
            .map(|(name, vkey, url)| format!("witness {name} {vkey} {url}\n"));
        let names: Vec<&str> = all.iter().map(|(name, ..)| *name).collect();
        // A quorum that counts the operator is met by fewer while the operator has no key yet.
        let least = self.quorum.parse().map_or_else(
            |_| self.quorum.clone(),
            |number: usize| number.min(names.len()).to_string(),
        );
        (!names.is_empty()).then(|| {
            let lines: String = lines.collect();
            let members = names.join(" ");
            format!("{lines}group {GROUP} {least} {members}\nquorum {GROUP}\n")
        })
    }
}

/// The operator's name in a policy.
pub const OPERATOR: &str = "operator";
/// The group of all witnesses in a policy.
pub(crate) const GROUP: &str = "witnesses";

/// How the transparency log of a strand stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// Origin of the log: the name under which its checkpoints are signed. It ends with the number of the incarnation.
    pub origin: String,
    /// Verifier key of the log, `NAME+ID+BASE64`. The operator, as a witness, trusts no other key for this origin.
    pub vkey: String,
    /// Number of records that the newest signed checkpoint covers.
    #[serde(default)]
    pub size: i64,
    /// Number of records that the newest checkpoint covers that a witness has cosigned. 0 while none has.
    #[serde(default)]
    pub cosigned_size: i64,
    /// The incarnations of the log before this one, oldest first, each with the last checkpoint that is known of it; the
    /// newest 16. Absent while the first incarnation goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierLog>,
}

/// An incarnation of a log that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlierLog {
    /// Its origin.
    pub origin: String,
    /// Size of the last checkpoint that is known of it.
    pub size: i64,
    /// Root of that checkpoint, base64.
    pub root: String,
    /// What the strand holds of it.
    pub held: Held,
}

/// What a strand holds of an earlier incarnation of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Held {
    /// All records, unaltered: the strand begins with the tree of the checkpoint.
    Whole,
    /// Fewer records than the checkpoint covers.
    Fewer,
    /// As many records or more, but not those of the checkpoint.
    Others,
}

/// What contradicts a checkpoint that the operator has cosigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contradiction {
    /// What happened.
    pub kind: ContradictionKind,
    /// Origin of the log.
    pub origin: String,
    /// Size of the tree that was cosigned.
    pub size: i64,
    /// Root of the tree that was cosigned, base64.
    pub root: String,
    /// What was shown later, and what follows from it.
    pub message: String,
}

/// How a log contradicts what was cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ContradictionKind {
    /// The strand has fewer records than were cosigned: it was set back.
    Rewound,
    /// The strand has other records than were cosigned: it was rewritten or forked.
    Forked,
}
