//! The files of a report, as one archive. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::redaction::{masked, redacted};

/// The files of a report, by path.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    folder: String,
    files: BTreeMap<String, Vec<u8>>,
    /// What could not be read, as sentences.
    unread: Vec<String>,
}

impl Archive {
    /// An empty one; `folder` is what it unpacks to.
    pub(crate) fn new(folder: String) -> Self {
        Self {
            folder,
            files: BTreeMap::new(),
            unread: Vec::new(),
        }
    }

    /// Adds an object without what does not belong into a report.
    pub(crate) fn object(&mut self, kind: &str, object: Value) -> Result<()> {
        let metadata = object.get("metadata");
        let text = |field: &str| {
            let value = metadata.and_then(|metadata| metadata.get(field));
            value
                .and_then(Value::as_str)
                .unwrap_or("cluster")
                .to_owned()
        };
        let path = format!("objects/{}/{kind}/{}.yaml", text("namespace"), text("name"));
        let yaml = serde_yaml::to_string(&redacted(object))?;
        self.files.insert(path, yaml.into_bytes());
        Ok(())
    }

    /// Adds a text without the values of rows that it quotes.
    pub(crate) fn text(&mut self, path: &str, text: &str) {
        let lines: Vec<String> = text.lines().map(masked).collect();
        self.files
            .insert(path.to_owned(), (lines.join("\n") + "\n").into_bytes());
    }

    /// Notes what could not be read.
    pub(crate) fn note(&mut self, why: String) {
        if !self.unread.contains(&why) {
            self.unread.push(why);
        }
    }

    /// What could not be read.
    pub(crate) fn unread(&self) -> &[String] {
        &self.unread
    }

    /// The paths of its files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    /// The archive, compressed.
    pub(crate) fn packed(&self, seconds: u64) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (path, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(bytes.len())?);
            header.set_mode(0o644);
            header.set_mtime(seconds);
            tar.append_data(
                &mut header,
                format!("{}/{path}", self.folder),
                bytes.as_slice(),
            )?;
        }
        Ok(tar.into_inner()?.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn an_archive_unpacks_to_one_folder_without_what_is_left_out() {
        let mut archive = Archive::new("report".to_owned());
        let secret =
            json!({"metadata": {"name": "a", "namespace": "n", "annotations": {"mine": "s3cret"}}});
        archive.object("pods", secret).unwrap();
        archive.text(
            "logs/a.log",
            "invalid input syntax for type bigint: \"s3cret\"\nnext",
        );
        let mut unpacked = String::new();
        let packed = archive.packed(0).unwrap();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut unpacked)
            .unwrap();
        assert!(!unpacked.contains("s3cret"));
        for path in ["report/objects/n/pods/a.yaml", "report/logs/a.log"] {
            assert!(unpacked.contains(path), "{path}");
        }
    }
}
