//! Where an archive is. Pure: texts in, a place out. No error repeats a text that may hold a secret.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below a prefix of a bucket.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix, without slashes at its ends; it may be empty.
        prefix: String,
    },
    /// A folder of this machine.
    Folder(PathBuf),
}

/// A text that names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Neither of the two forms.
    #[error("must be s3://BUCKET/PREFIX or file:///FOLDER")]
    Form,
    /// Credentials in it, or a query.
    #[error(
        "must have no user, password, query or fragment: endpoint, region and keys come by AWS_* variables, the files of --archive-dir or a Secret"
    )]
    Secret,
    /// A part of the path that no object can have.
    #[error("must have no empty part, no . and no .. in its path")]
    Part,
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if text.contains(['@', '?', '#']) {
            return Err(PlaceError::Secret);
        }
        if let Some(path) = text.strip_prefix("file://") {
            let whole = path.len() > 1 && path.starts_with('/');
            let path = parts(path.trim_matches('/'))?;
            if !whole || path.is_empty() {
                return Err(PlaceError::Form);
            }
            return Ok(Self::Folder(PathBuf::from(format!("/{path}"))));
        }
        let rest = text.strip_prefix("s3://").ok_or(PlaceError::Form)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(is_name) {
            return Err(PlaceError::Form);
        }
        Ok(Self::Bucket {
            bucket: bucket.to_owned(),
            prefix: parts(prefix.trim_matches('/'))?.to_owned(),
        })
    }
}

fn parts(path: &str) -> Result<&str, PlaceError> {
    let wrong = |part: &str| ["", ".", ".."].contains(&part);
    if !path.is_empty() && path.split('/').any(wrong) {
        return Err(PlaceError::Part);
    }
    Ok(path)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Folder(path) => write!(f, "file://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, PlaceError};

    #[test]
    fn a_place_is_a_bucket_with_a_prefix_or_a_folder_and_is_written_as_it_is_read() {
        for text in ["s3://bucket", "s3://bucket/a/b", "file:///var/archive"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        let slashes = "s3://bucket/a/".parse::<Place>().unwrap();
        assert_eq!(slashes.to_string(), "s3://bucket/a");
    }

    #[test]
    fn what_is_no_place_is_refused_and_a_secret_in_it_is_not_repeated() {
        for (text, expected) in [
            ("", PlaceError::Form),
            ("bucket/prefix", PlaceError::Form),
            ("https://bucket/prefix", PlaceError::Form),
            ("s3://", PlaceError::Form),
            ("s3:///prefix", PlaceError::Form),
            ("file://", PlaceError::Form),
            ("file:///", PlaceError::Form),
            ("file://var/archive", PlaceError::Form),
            ("s3://key:secret@bucket", PlaceError::Secret),
            ("s3://bucket/p?secret=x", PlaceError::Secret),
            ("s3://bucket/a//b", PlaceError::Part),
            ("s3://bucket/../b", PlaceError::Part),
            ("file:///var/../etc", PlaceError::Part),
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
