//! An image and its archive: one layer for each architecture, an OCI layout, no time stamp and no owner that would change
//! the bytes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::architecture::Architecture;
use crate::blob::{Blob, File, archive};

/// The user that a container runs as by default.
const USER: u64 = 65532;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image for one architecture: its files, entry point and labels.
#[derive(Debug)]
pub struct Image {
    /// Name and tag, like `localhost/boboyka-sidecar:0.1.0`.
    pub name: String,
    /// The machine that its program is built for.
    pub architecture: Architecture,
    /// Files: path in the image, content, mode.
    pub files: Vec<File>,
    /// The program and its arguments.
    pub entrypoint: Vec<String>,
    /// OCI labels.
    pub labels: Vec<(String, String)>,
}

impl Image {
    /// An image of one static program. Fails when the program is not built, or is for no [`Architecture`].
    pub fn of_program(name: &str, program: &Path) -> Result<Self> {
        let file = program
            .file_name()
            .context("the program's path has no file name")?
            .to_string_lossy()
            .into_owned();
        let content = std::fs::read(program)
            .with_context(|| format!("could not read {}: build it first", program.display()))?;
        let architecture = Architecture::of(&content)
            .with_context(|| format!("{} is no program for amd64 or arm64", program.display()))?;
        let users = format!("root:x:0:0::/:/\nnonroot:x:{USER}:{USER}::/:/\n");
        Ok(Self {
            name: name.to_owned(),
            architecture,
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
        write_all(std::slice::from_ref(self), path)
    }

    /// The blobs of the image, and what an index says of it.
    fn blobs(&self) -> Result<(Value, [Blob; 3])> {
        let layer = Blob::new(LAYER, archive(&self.files)?);
        let labels: Value = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let architecture = self.architecture.name();
        let config = Blob::of_json(
            CONFIG,
            &json!({
                "architecture": architecture, "os": "linux",
                "config": {"Entrypoint": self.entrypoint, "User": format!("{USER}:{USER}"), "Labels": labels},
                "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            }),
        )?;
        let manifest = Blob::of_json(
            MANIFEST,
            &json!({
                "schemaVersion": 2, "mediaType": MANIFEST,
                "config": config.described(), "layers": [layer.described()],
            }),
        )?;
        let platform = json!({"architecture": architecture, "os": "linux"});
        let entry = manifest.described_with("platform", &platform);
        Ok((entry, [manifest, config, layer]))
    }

    /// Writes the image's files into a folder, for a Dockerfile to copy.
    pub fn write_files(&self, folder: &Path) -> Result<()> {
        for (name, content, mode) in &self.files {
            put(&folder.join(name), content, *mode)?;
        }
        Ok(())
    }
}

/// Writes the OCI archive of an image, given for each of its architectures, to a path and returns that path.
///
/// The archive names one image, an index of the architectures: who loads it takes the one of its own machine.
pub fn write_all(images: &[Image], path: &Path) -> Result<PathBuf> {
    let first = images.first().context("an image has an architecture")?;
    let (mut entries, mut files) = (Vec::new(), vec![layout()]);
    for image in images {
        let (entry, blobs) = image.blobs()?;
        entries.push(entry);
        files.extend(blobs.map(Blob::into_file));
    }
    let platforms = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    let platforms = Blob::of_json(INDEX, &platforms)?;
    let tag = first.name.rsplit(':').next().unwrap_or_default();
    let names =
        json!({"io.containerd.image.name": first.name, "org.opencontainers.image.ref.name": tag});
    let entry = platforms.described_with("annotations", &names);
    let index = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [entry]}))?;
    files.push(platforms.into_file());
    files.push(("index.json".to_owned(), index, 0o644));
    put(path, &archive(&files)?, 0o644)?;
    Ok(path.to_owned())
}

fn layout() -> File {
    let version = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
    ("oci-layout".to_owned(), version, 0o644)
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
