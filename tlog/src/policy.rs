//! Policies (<https://c2sp.org/tlog-policy>): which logs and witnesses somebody trusts, and how many of them must have signed.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::key::{KeyError, Kind, VerifierKey};
use crate::note::{Note, Signed};

/// The name that stands for "nobody" in a quorum.
const NONE: &str = "none";

/// A log or witness, and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its key.
    pub key: VerifierKey,
    /// For a log the URL that the policy gives it, for a witness the prefix of its `add-checkpoint`.
    pub url: Option<String>,
}

/// Logs, witnesses and the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The logs; a checkpoint must be signed by one of them.
    pub logs: Vec<Party>,
    /// The witnesses.
    pub witnesses: Vec<Party>,
    quorum: Rule,
}

/// Who must have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Nobody,
    Witness(VerifierKey),
    Group { least: usize, members: Vec<Rule> },
}

/// A text that is no policy. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PolicyError {
    /// Where.
    pub line: usize,
    /// What is wrong.
    pub reason: Fault,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another control character than a tab.
    #[error("the line has a control character other than a tab")]
    Control,
    /// None of the forms.
    #[error(
        "the line is none of: log VKEY [URL], witness NAME VKEY [URL], group NAME K|any|all MEMBER…, quorum NAME|none"
    )]
    Form,
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A log's key where a witness's should stand, or the other way round.
    #[error("the key has the type of a {0}")]
    Kind(&'static str),
    /// One public key twice.
    #[error("the key of {0} is there already")]
    Duplicate(String),
    /// A name twice, or the name `none`.
    #[error("the name {0:?} is taken")]
    Name(String),
    /// A member or quorum that no line before defines.
    #[error("no line before defines {0:?}")]
    Unknown(String),
    /// A member of two groups.
    #[error("{0:?} is a member already")]
    Member(String),
    /// A threshold outside 1 to the number of members.
    #[error("the threshold {0:?} is not any, all or a number from 1 to that of the members")]
    Threshold(String),
    /// Two quorum lines, or none.
    #[error("a policy has one quorum line")]
    Quorum,
}

/// A checkpoint that a policy does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No checkpoint, a bad signature, or none of a log of the policy.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Too few cosignatures.
    #[error("the quorum is not reached: cosigned by {0:?} only")]
    Quorum(Vec<String>),
}

impl Policy {
    /// The checkpoint of a note that one of the logs has signed and the quorum has cosigned, with every known signature.
    ///
    /// # Errors
    /// When the policy does not accept it.
    pub fn verify(&self, note: &Note) -> Result<(Checkpoint, Vec<Signed>), Rejection> {
        let (checkpoint, signed) = Checkpoint::verify(note, &self.keys())?;
        let is_signed = |key: &VerifierKey| signed.iter().any(|signed| signed.key == *key);
        if self.quorum.is_met(&is_signed) {
            return Ok((checkpoint, signed));
        }
        let witnesses = signed
            .iter()
            .filter(|signed| signed.key.kind() == Kind::Witness);
        let names = witnesses.map(|signed| signed.key.name().to_owned());
        Err(Rejection::Quorum(names.collect()))
    }

    /// Whether a checkpoint needs cosignatures.
    pub const fn needs_witnesses(&self) -> bool {
        !matches!(self.quorum, Rule::Nobody)
    }

    /// The policy of one log's key, without witnesses.
    pub const fn of_logs(logs: Vec<Party>) -> Self {
        Self {
            logs,
            witnesses: Vec::new(),
            quorum: Rule::Nobody,
        }
    }

    fn keys(&self) -> Vec<VerifierKey> {
        let parties = self.logs.iter().chain(&self.witnesses);
        parties.map(|party| party.key.clone()).collect()
    }
}

impl Rule {
    fn is_met(&self, is_signed: &impl Fn(&VerifierKey) -> bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::Witness(key) => is_signed(key),
            Self::Group { least, members } => {
                members
                    .iter()
                    .filter(|member| member.is_met(is_signed))
                    .count()
                    >= *least
            }
        }
    }
}

/// A policy while its lines are read.
#[derive(Default)]
struct Reader<'a> {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    /// Witnesses and groups by name; a group's member is taken out, so that it counts once.
    rules: BTreeMap<&'a str, Option<Rule>>,
    quorum: Option<Rule>,
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut reader = Reader::default();
        let mut last = 1;
        for (before, line) in text.split('\n').enumerate() {
            last = before + 1;
            reader
                .line(line)
                .map_err(|reason| PolicyError { line: last, reason })?;
        }
        let quorum = reader.quorum.ok_or(PolicyError {
            line: last,
            reason: Fault::Quorum,
        })?;
        Ok(Self {
            logs: reader.logs,
            witnesses: reader.witnesses,
            quorum,
        })
    }
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), Fault> {
        if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err(Fault::Control);
        }
        let items = line.split([' ', '\t']).filter(|item| !item.is_empty());
        match items.collect::<Vec<_>>()[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] => self.log(key, None),
            ["log", key, url] => self.log(key, Some(url)),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, least, ref members @ ..] => self.group(name, least, members),
            ["quorum", name] => self.quorum(name),
            _ => Err(Fault::Form),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), Fault> {
        let party = party(key, url, Kind::Log, &self.logs)?;
        self.logs.push(party);
        Ok(())
    }

    fn witness(&mut self, name: &'a str, key: &str, url: Option<&str>) -> Result<(), Fault> {
        let party = party(key, url, Kind::Witness, &self.witnesses)?;
        self.name(name, Rule::Witness(party.key.clone()))?;
        self.witnesses.push(party);
        Ok(())
    }

    fn group(&mut self, name: &'a str, least: &str, members: &[&str]) -> Result<(), Fault> {
        let least = threshold(least, members.len())?;
        let members = members.iter().map(|member| self.take(member));
        let members = members.collect::<Result<_, _>>()?;
        self.name(name, Rule::Group { least, members })
    }

    fn quorum(&mut self, name: &str) -> Result<(), Fault> {
        if self.quorum.is_some() {
            return Err(Fault::Quorum);
        }
        let rule = if name == NONE {
            Rule::Nobody
        } else {
            self.take(name)?
        };
        self.quorum = Some(rule);
        Ok(())
    }

    fn name(&mut self, name: &'a str, rule: Rule) -> Result<(), Fault> {
        if name == NONE || self.rules.contains_key(name) {
            return Err(Fault::Name(name.into()));
        }
        self.rules.insert(name, Some(rule));
        Ok(())
    }

    fn take(&mut self, name: &str) -> Result<Rule, Fault> {
        let rule = self
            .rules
            .get_mut(name)
            .ok_or_else(|| Fault::Unknown(name.into()))?;
        rule.take().ok_or_else(|| Fault::Member(name.into()))
    }
}

fn party(key: &str, url: Option<&str>, kind: Kind, known: &[Party]) -> Result<Party, Fault> {
    let key: VerifierKey = key.parse()?;
    if key.kind() != kind {
        return Err(Fault::Kind(if kind == Kind::Log {
            "witness"
        } else {
            "log"
        }));
    }
    if known.iter().any(|party| party.key.public() == key.public()) {
        return Err(Fault::Duplicate(key.name().into()));
    }
    Ok(Party {
        key,
        url: url.map(str::to_owned),
    })
}

fn threshold(text: &str, members: usize) -> Result<usize, Fault> {
    let least = match text {
        "any" => Some(1),
        "all" => Some(members),
        number => number
            .parse()
            .ok()
            .filter(|least: &usize| least.to_string() == number),
    };
    least
        .filter(|least| (1..=members).contains(least))
        .ok_or_else(|| Fault::Threshold(text.into()))
}
