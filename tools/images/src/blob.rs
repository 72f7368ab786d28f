//! The parts of an OCI archive that are found by their hash, and files as they are archived.

use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A file of an archive: its path, content and mode.
pub type File = (String, Vec<u8>, u32);

/// A part of an OCI archive, with its media type. It is hashed once: a layer is large.
pub(crate) struct Blob {
    kind: &'static str,
    bytes: Vec<u8>,
    pub(crate) digest: String,
}

impl Blob {
    pub(crate) fn new(kind: &'static str, bytes: Vec<u8>) -> Self {
        let digest = format!("sha256:{:x}", Sha256::digest(&bytes));
        Self {
            kind,
            bytes,
            digest,
        }
    }

    pub(crate) fn of_json(kind: &'static str, value: &Value) -> Result<Self> {
        Ok(Self::new(kind, serde_json::to_vec(value)?))
    }

    /// How others refer to it.
    pub(crate) fn described(&self) -> Value {
        json!({"mediaType": self.kind, "digest": self.digest, "size": self.bytes.len()})
    }

    /// The same with one more field.
    pub(crate) fn described_with(&self, field: &str, value: &Value) -> Value {
        json!({
            "mediaType": self.kind, "digest": self.digest, "size": self.bytes.len(), field: value,
        })
    }

    /// Where it lies in the archive.
    pub(crate) fn into_file(self) -> File {
        let place = format!("blobs/{}", self.digest.replace(':', "/"));
        (place, self.bytes, 0o644)
    }
}

/// A tar without times and owners.
pub(crate) fn archive(files: &[File]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, name, content.as_slice())?;
    }
    Ok(builder.into_inner()?)
}
