//! The key that callers must show, when the sidecar was started with one.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use axum::http::request::Parts;
use tokio::sync::watch;

use super::error::{ApiError, Code};
use super::headers::single;

/// The longest file that holds a key.
const FILE_MAX_BYTES: usize = 4 * 1024;

/// What anybody may ask.
const OPEN: [&str; 2] = ["/", "/v1/health"];
/// Where files lie that anybody may have: the panel asks for the key itself.
const OPEN_FOLDER: &str = "/panel/";

/// A key, as its hash: hashes are compared in a time that tells nothing, and no log can have the key from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApiKey(blake3::Hash);

/// Why a file has no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("could not read the file {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds nothing.
    #[error("the file {0} is empty: write the key into it")]
    Empty(PathBuf),
    /// No header can carry what the file holds.
    #[error(
        "the file {0} holds no key: a key is one word of visible ASCII, {FILE_MAX_BYTES} bytes at most"
    )]
    NoKey(PathBuf),
}

impl ApiKey {
    /// The key in a file, without blanks at its ends.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_some(path).map_err(|source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        match text.trim_ascii() {
            [] => Err(KeyError::Empty(path.to_owned())),
            key if text.len() <= FILE_MAX_BYTES && key.iter().all(u8::is_ascii_graphic) => {
                Ok(Self::of(key))
            }
            _ => Err(KeyError::NoKey(path.to_owned())),
        }
    }

    fn of(key: &[u8]) -> Self {
        Self(blake3::hash(key))
    }
}

/// What a file holds, and no more of it than tells that it is too long.
fn read_some(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let most = FILE_MAX_BYTES as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}

/// Who may ask for what.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everybody who reaches the API.
    Open,
    /// Callers that show the key, as it is now.
    Key(watch::Receiver<ApiKey>),
}

impl Access {
    /// Refuses a request that does not show the key.
    pub(super) fn check(&self, request: &Parts) -> Result<(), ApiError> {
        let Self::Key(key) = self else {
            return Ok(());
        };
        let path = request.uri.path();
        if OPEN.contains(&path) || path.starts_with(OPEN_FOLDER) {
            return Ok(());
        }
        let shown = single(&request.headers, "Authorization")?;
        let Some(shown) = shown.and_then(bearer) else {
            return Err(refusal(
                "the request has no key: send the header Authorization: Bearer KEY",
            ));
        };
        if ApiKey::of(shown.as_bytes()) == *key.borrow() {
            Ok(())
        } else {
            Err(refusal(
                "the key is not the one that the sidecar was started with",
            ))
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| key.trim())
}

fn refusal(message: &str) -> ApiError {
    ApiError::new(Code::Unauthorized, message).about("Authorization")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_in(text: &str) -> Result<ApiKey, KeyError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, text).unwrap();
        ApiKey::read(&path)
    }

    #[test]
    fn blanks_around_a_key_are_no_part_of_it_and_what_is_none_is_told() {
        assert_eq!(key_in("secret\n").unwrap(), key_in("  secret").unwrap());
        assert_ne!(key_in("secret").unwrap(), key_in("Secret").unwrap());
        assert!(matches!(key_in(" \n"), Err(KeyError::Empty(_))));
        for wrong in ["two words", "a\nb", "schlüssel", &"x".repeat(5000)] {
            let error = key_in(wrong).unwrap_err();
            assert!(matches!(error, KeyError::NoKey(_)));
            assert!(!error.to_string().contains(wrong));
        }
        let missing = ApiKey::read(Path::new("/nowhere/key"));
        assert!(matches!(missing, Err(KeyError::Unreadable { .. })));
    }
}
