//! The Ed25519 keys of logs and witnesses, in the text forms that Go's tools have
//! (<https://c2sp.org/signed-note>, `golang.org/x/mod/sumdb/note`).

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use crate::{base64, cosignature};

const KEY_BYTES: usize = 32;
const PRIVATE: &str = "PRIVATE+KEY+";

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Notes: the key of a log (type 0x01).
    Log,
    /// Cosignatures with a time: the key of a witness (type 0x04).
    Witness,
}

/// The first four bytes of SHA-256 over name, newline, type and public key. As text it is eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

/// A public key with the name under which it signs: a `vkey`. As text it is `NAME+ID+BASE64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: Kind,
    public: [u8; KEY_BYTES],
}

/// A private key with the name under which it signs. It has no text form but for [`SigningKey::to_secret_text`].
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: [u8; KEY_BYTES],
    verifier: VerifierKey,
}

/// A signature that is not the key's over this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not the key's over this text")]
pub struct BadSignature;

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Parts are missing, or the base64 is none.
    #[error("a key is NAME+ID+BASE64, with eight hexadecimal digits as the id")]
    Form,
    /// A private key has another beginning.
    #[error("a private key begins with PRIVATE+KEY+")]
    NotPrivate,
    /// The name is empty, or has a space, a control character or a plus.
    #[error("the key's name {0:?} is empty, or has a space, a control character or a plus")]
    Name(String),
    /// A signature type that this crate does not know.
    #[error(
        "the key has the type {0:#04x}: only 0x01 (Ed25519) and 0x04 (Ed25519 cosignature) are known"
    )]
    Type(u8),
    /// Not 32 bytes.
    #[error("an Ed25519 key has 32 bytes, this one {0}")]
    Length(usize),
    /// The id is another than that of name and key.
    #[error("the key's id is {found}, but its name and bytes give {expected}")]
    Id {
        /// What name and key give.
        expected: KeyId,
        /// What the text says.
        found: KeyId,
    },
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Witness => 0x04,
        }
    }

    const fn from_code(code: u8) -> Result<Self, KeyError> {
        match code {
            0x01 => Ok(Self::Log),
            0x04 => Ok(Self::Witness),
            other => Err(KeyError::Type(other)),
        }
    }
}

impl KeyId {
    /// An id from its four bytes.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    /// The four bytes.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let id = u32::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| KeyError::Form)?;
        if id.to_string() == text {
            return Ok(id);
        }
        Err(KeyError::Form)
    }
}

impl VerifierKey {
    fn new(name: &str, kind: Kind, public: &[u8]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.into()));
        }
        let public = public
            .try_into()
            .map_err(|_| KeyError::Length(public.len()))?;
        Ok(Self {
            name: name.into(),
            kind,
            public,
        })
    }

    /// The name under which it signs; for a log it is the origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The public key.
    pub const fn public(&self) -> &[u8; KEY_BYTES] {
        &self.public
    }

    /// Its id, which stands in front of its signatures.
    pub fn id(&self) -> KeyId {
        let hasher = Sha256::new_with_prefix(&self.name).chain_update([b'\n', self.kind.code()]);
        let digest: [u8; 32] = hasher.chain_update(self.public).finalize().into();
        let [a, b, c, d, ..] = digest;
        KeyId::from_bytes([a, b, c, d])
    }

    /// Checks the bytes of a signature over a note's text. A cosignature gives its time in seconds since 1970.
    ///
    /// # Errors
    /// When the signature is not this key's over this text.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, BadSignature> {
        let key = UnparsedPublicKey::new(&ED25519, self.public);
        let check = |message: &str, bytes| {
            key.verify(message.as_bytes(), bytes)
                .map_err(|_| BadSignature)
        };
        match self.kind {
            Kind::Log => check(text, signature).map(|()| None),
            Kind::Witness => {
                let (seconds, bytes) = cosignature::decode(signature).ok_or(BadSignature)?;
                check(&cosignature::message(seconds, text), bytes).map(|()| Some(seconds))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = base64::encode(&[&[self.kind.code()], &self.public[..]].concat());
        write!(f, "{}+{}+{key}", self.name, self.id())
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, code, bytes) = parts(text)?;
        let key = Self::new(name, Kind::from_code(code)?, &bytes)?;
        same_id(key.id(), id)?;
        Ok(key)
    }
}

impl SigningKey {
    /// The key of a 32-byte seed, for a log or a witness of this name.
    ///
    /// # Errors
    /// When the name can't be that of a key.
    pub fn from_seed(name: &str, kind: Kind, seed: [u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Form)?;
        let verifier = VerifierKey::new(name, kind, pair.public_key().as_ref())?;
        Ok(Self {
            pair,
            seed,
            verifier,
        })
    }

    /// The key of a text `PRIVATE+KEY+NAME+ID+BASE64`. Its id is that of a log's key also when a witness uses it.
    ///
    /// # Errors
    /// When the text is none. The error has nothing of the text but name and id.
    pub fn from_secret_text(text: &str, kind: Kind) -> Result<Self, KeyError> {
        let text = text
            .trim_end()
            .strip_prefix(PRIVATE)
            .ok_or(KeyError::NotPrivate)?;
        let (name, id, code, bytes) = parts(text)?;
        if code != Kind::Log.code() {
            return Err(KeyError::Type(code));
        }
        let length = bytes.len();
        let seed = bytes.try_into().map_err(|_| KeyError::Length(length))?;
        same_id(Self::from_seed(name, Kind::Log, seed)?.verifier.id(), id)?;
        Self::from_seed(name, kind, seed)
    }

    /// The same key under another name.
    ///
    /// # Errors
    /// When the name can't be that of a key.
    pub fn named(&self, name: &str) -> Result<Self, KeyError> {
        Self::from_seed(name, self.verifier.kind, self.seed)
    }

    /// The secret as text, for the file or Secret that keeps it.
    pub fn to_secret_text(&self) -> String {
        let log = VerifierKey {
            kind: Kind::Log,
            ..self.verifier.clone()
        };
        let seed = base64::encode(&[&[Kind::Log.code()], &self.seed[..]].concat());
        format!("{PRIVATE}{}+{}+{seed}", log.name, log.id())
    }

    /// Its public key and name.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The bytes of a signature over a note's text. A witness signs the time, in seconds since 1970; a log's signature has none.
    pub fn sign(&self, text: &str, seconds: u64) -> Vec<u8> {
        match self.verifier.kind {
            Kind::Log => self.pair.sign(text.as_bytes()).as_ref().to_vec(),
            Kind::Witness => {
                let message = cosignature::message(seconds, text);
                let signature = self.pair.sign(message.as_bytes());
                cosignature::encode(seconds, signature.as_ref())
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

/// Whether a text can be the name of a key: not empty, no space, no control character, no plus.
pub(crate) fn is_name(text: &str) -> bool {
    let is_taken = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !text.is_empty() && text.chars().all(is_taken)
}

fn same_id(expected: KeyId, found: KeyId) -> Result<(), KeyError> {
    if expected == found {
        return Ok(());
    }
    Err(KeyError::Id { expected, found })
}

/// Name, id, type and bytes of `NAME+ID+BASE64`; the base64 may have a plus.
fn parts(text: &str) -> Result<(&str, KeyId, u8, Vec<u8>), KeyError> {
    let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
    let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
    let bytes = base64::decode(key).ok_or(KeyError::Form)?;
    let (code, bytes) = bytes.split_first().ok_or(KeyError::Form)?;
    Ok((name, id.parse()?, *code, bytes.to_vec()))
}
