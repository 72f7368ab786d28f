//! Signed notes (<https://c2sp.org/signed-note>): a text, an empty line, and a line for each signature.

use std::fmt;
use std::str::FromStr;

use crate::base64;
use crate::key::{KeyId, SigningKey, VerifierKey, is_name};

/// More signatures than this are refused, as Go's tools do; the specification wants 16 at least.
pub const SIGNATURES_MAX: usize = 100;
/// A longer note is refused, as Go's tools do.
pub const NOTE_BYTES_MAX: usize = 1_000_000;
const BULLET: &str = "\u{2014} ";

/// A text with signatures, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature of a note; as text its line without the newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: KeyId,
    /// What the key made: for a witness the time and the signature.
    pub bytes: Vec<u8>,
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The key.
    pub key: VerifierKey,
    /// When a witness signed, in seconds since 1970; a log says no time.
    pub seconds: Option<u64>,
}

/// Text that is no note, or a note that must not be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not UTF-8.
    #[error("the note is not UTF-8")]
    Utf8,
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("the note has more than {NOTE_BYTES_MAX} bytes")]
    Long,
    /// A control character other than a newline.
    #[error("the note has the control character {0:?}")]
    Control(char),
    /// No empty line, or nothing before or behind it, or no newline at the end.
    #[error("the note is not a text, an empty line and signature lines, with a newline at the end")]
    Form,
    /// A line that is no signature; lines count from 1 behind the empty line.
    #[error("signature line {0} is not an em dash, a space, a name, a space and base64")]
    Line(usize),
    /// More than [`SIGNATURES_MAX`].
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    Many,
    /// A known key's signature does not hold: the text was altered, or the signature is forged.
    #[error("the signature of the known key {name}+{id} does not hold")]
    Bad {
        /// The key's name.
        name: String,
        /// Its id.
        id: KeyId,
    },
}

impl Note {
    /// A note without signatures. The text ends in a newline and has no other control character.
    pub(crate) const fn unsigned(text: String) -> Self {
        Self {
            text,
            signatures: Vec::new(),
        }
    }

    /// A note from the bytes of a file or answer.
    ///
    /// # Errors
    /// When they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NoteError> {
        std::str::from_utf8(bytes)
            .map_err(|_| NoteError::Utf8)?
            .parse()
    }

    /// What is signed, with the newline at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, checked or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature.
    pub fn push(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// Signs the note. A witness signs the time, in seconds since 1970, too.
    pub fn sign(&mut self, key: &SigningKey, seconds: u64) {
        let signature = Signature::of(key, &self.text, seconds);
        self.push(signature);
    }

    /// The signatures of these keys, each checked; signatures of other keys are ignored.
    ///
    /// # Errors
    /// When a signature of one of these keys does not hold.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<Signed>, NoteError> {
        let mut signed = Vec::new();
        for signature in &self.signatures {
            for key in keys.iter().filter(|key| signature.claims(key)) {
                let seconds = key.verify(&self.text, &signature.bytes);
                let seconds = seconds.map_err(|_| signature.bad())?;
                signed.push(Signed {
                    key: key.clone(),
                    seconds,
                });
            }
        }
        Ok(signed)
    }
}

impl Signature {
    /// The signature of a key over a note's text.
    pub fn of(key: &SigningKey, text: &str, seconds: u64) -> Self {
        let verifier = key.verifier();
        let bytes = key.sign(text, seconds);
        Self {
            name: verifier.name().into(),
            id: verifier.id(),
            bytes,
        }
    }

    /// Whether it says to be this key's.
    pub fn claims(&self, key: &VerifierKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }

    fn bad(&self) -> NoteError {
        NoteError::Bad {
            name: self.name.clone(),
            id: self.id,
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let (name, bytes) = line.strip_prefix(BULLET)?.split_once(' ')?;
        let bytes = base64::decode(bytes)?;
        let (id, bytes) = bytes.split_first_chunk()?;
        let is_whole = is_name(name) && !bytes.is_empty();
        is_whole.then(|| Self {
            name: name.into(),
            id: KeyId::from_bytes(*id),
            bytes: bytes.into(),
        })
    }
}

/// Signatures from their lines, each with a newline at its end: the end of a note, or a witness's answer.
///
/// # Errors
/// When one is none.
pub fn parse_signatures(lines: &str) -> Result<Vec<Signature>, NoteError> {
    let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
    if lines.split('\n').nth(SIGNATURES_MAX).is_some() {
        return Err(NoteError::Many);
    }
    let numbered = lines.split('\n').enumerate();
    numbered
        .map(|(number, line)| Signature::from_line(line).ok_or(NoteError::Line(number + 1)))
        .collect()
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = base64::encode(&[&self.id.to_bytes(), &self.bytes[..]].concat());
        write!(f, "{BULLET}{} {bytes}", self.name)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Long);
        }
        if let Some(c) = control(note) {
            return Err(NoteError::Control(c));
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, rest) = note.split_at(end + 1);
        let signatures = parse_signatures(rest.strip_prefix('\n').unwrap_or(rest))?;
        Ok(Self {
            text: text.into(),
            signatures,
        })
    }
}

/// The first control character that a note must not have.
fn control(text: &str) -> Option<char> {
    text.chars().find(|c| c.is_ascii_control() && *c != '\n')
}
