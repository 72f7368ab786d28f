//! An image and its archive: one layer, an OCI layout, no time stamp and no owner that would change the bytes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The user that a container runs as by default.
const USER: u64 = 65532;

/// An image: its files, entry point and labels.
#[derive(Debug)]
pub struct Image {
    /// Name and tag, like `localhost/boboyka-sidecar:0.1.0`.
    pub name: String,
    /// Files: path in the image, content, mode.
    pub files: Vec<(String, Vec<u8>, u32)>,
    /// The program and its arguments.
    pub entrypoint: Vec<String>,
    /// OCI labels.
    pub labels: Vec<(String, String)>,
}

impl Image {
    /// An image of one static program. Fails when the program is not built.
    pub fn of_program(name: &str, program: &Path) -> Result<Self> {
        let file = program
            .file_name()
            .context("the program's path has no file name")?
            .to_string_lossy()
            .into_owned();
        let content = std::fs::read(program)
            .with_context(|| format!("could not read {}: build it first", program.display()))?;
        let users = format!("root:x:0:0::/:/\nnonroot:x:{USER}:{USER}::/:/\n");
        Ok(Self {
            name: name.to_owned(),
            files: vec![
                (file.clone(), content, 0o755),
                ("etc/passwd".to_owned(), users.into_bytes(), 0o644),
            ],
            entrypoint: vec![format!("/{file}")],
            labels: Vec::new(),
        })
    }

    /// Writes the OCI archive to a path and returns that path.
    pub fn write(&self, path: &Path) -> Result<PathBuf> {
        let layer = archive(&self.files)?;
        let labels: Value = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "User": format!("{USER}:{USER}"), "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described("config.v1+json", &config),
            "layers": [described("layer.v1.tar", &layer)],
        }))?;
        let tag = self.name.rsplit(':').next().unwrap_or_default();
        let entry = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&manifest), "size": manifest.len(),
            "annotations": {"io.containerd.image.name": self.name, "org.opencontainers.image.ref.name": tag},
        });
        let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [entry]}))?;
        let blob = |bytes: Vec<u8>| {
            (
                format!("blobs/{}", digest(&bytes).replace(':', "/")),
                bytes,
                0o644,
            )
        };
        let files = vec![
            (
                "oci-layout".to_owned(),
                br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
                0o644,
            ),
            ("index.json".to_owned(), index, 0o644),
            blob(layer),
            blob(config),
            blob(manifest),
        ];
        put(path, &archive(&files)?, 0o644)?;
        Ok(path.to_owned())
    }

    /// Writes the image's files into a folder, for a Dockerfile to copy.
    pub fn write_files(&self, folder: &Path) -> Result<()> {
        for (name, content, mode) in &self.files {
            put(&folder.join(name), content, *mode)?;
        }
        Ok(())
    }
}

/// Writes a file beside its path and renames it: concurrent writers never leave a part of one.
fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().context("the image's path has no folder")?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.persist(path)
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(())
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// A tar without times and owners.
fn archive(files: &[(String, Vec<u8>, u32)]) -> Result<Vec<u8>> {
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
