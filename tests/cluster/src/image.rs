//! Images made from programs, without Docker: one layer in an OCI archive, the same bytes for the same input.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::sbom;

/// The user that a container runs as when nobody says otherwise.
const USER: u64 = 65532;

/// What an image is made of.
#[derive(Debug)]
pub struct Image {
    /// Its name and tag.
    pub name: String,
    /// Files: place in the image, content, mode.
    pub files: Vec<(String, Vec<u8>, u32)>,
    /// The program and its arguments.
    pub entrypoint: Vec<String>,
    /// OCI labels.
    pub labels: Vec<(String, String)>,
}

impl Image {
    /// An image of one static program.
    pub fn of_program(name: &str, program: &Path) -> Result<Self> {
        let file = program
            .file_name()
            .context("a program has a name")?
            .to_string_lossy()
            .into_owned();
        let content = std::fs::read(program)
            .with_context(|| format!("{} is not built", program.display()))?;
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

    /// Writes the archive.
    pub fn write(&self, place: &Path) -> Result<PathBuf> {
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
        put(place, &archive(&files)?, 0o644)?;
        Ok(place.to_owned())
    }

    /// Writes the image's files as they are, for a Dockerfile to copy.
    pub fn write_files(&self, folder: &Path) -> Result<()> {
        for (name, content, mode) in &self.files {
            put(&folder.join(name), content, *mode)?;
        }
        Ok(())
    }
}

/// Writes a file beside its place and renames it, so that it is whole or absent, whoever else writes it too.
fn put(place: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = place.parent().context("an image lies in a folder")?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.persist(place)
        .with_context(|| format!("could not write {}", place.display()))?;
    Ok(())
}

/// The sidecar's image, the operator's and the tests' own, from what the build for tests made.
pub fn test_images() -> Result<Vec<PathBuf>> {
    images("debug", "test-images")
}

/// The images for use, from what `make images` built, and the tests' own beside them.
pub fn release_images() -> Result<Vec<PathBuf>> {
    images("release", "images")
}

fn images(profile: &str, folder: &str) -> Result<Vec<PathBuf>> {
    let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target"));
    let built = target.join("static/x86_64-unknown-linux-gnu").join(profile);
    let folder = target.join(folder);
    let mut places = Vec::new();
    for program in [SIDECAR, OPERATOR] {
        let image = of_ours(&program, &built.join(program.name))?;
        image.write_files(&folder.join(program.name))?;
        places.push(image.write(&folder.join(format!("{}.tar", program.name)))?);
    }
    let probe = Image::of_program("localhost/boboyka-probe:test", &built.join("boboyka-probe"))?;
    places.push(probe.write(&folder.join("boboyka-probe.tar"))?);
    Ok(places)
}

/// One of our programs that come as an image.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name: the package's, the image's, the file's.
    pub name: &'static str,
    description: &'static str,
    /// Whether it speaks https with the world, and needs the world's authorities.
    https: bool,
}

/// The sidecar.
pub const SIDECAR: Program = Program {
    name: "boboyka-sidecar",
    description: "Takes Boboyka's records, keeps them in a hash-chained strand, mirrors them to Supabase",
    https: true,
};

/// The operator. It speaks with the API server only, whose authority comes with its token.
pub const OPERATOR: Program = Program {
    name: "boboyka-operator",
    description: "Turns a BoboykaIntegration into sidecars, strands on volumes, and a gated migration",
    https: false,
};

/// An image of ours: the program, what it is made of, the authorities that https needs, a user who is not root.
pub fn of_ours(of: &Program, program: &Path) -> Result<Image> {
    let version = env!("CARGO_PKG_VERSION");
    let mut image = Image::of_program(&format!("localhost/{}:{version}", of.name), program)?;
    if of.https {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let roots: String = roots
            .map(|root| pem::encode(&pem::Pem::new("CERTIFICATE", root.as_ref())))
            .collect();
        image.files.push((
            "etc/ssl/certs/ca-certificates.crt".to_owned(),
            roots.into_bytes(),
            0o644,
        ));
    }
    let bill = sbom::of_package(of.name)?;
    image.files.push(("sbom.cdx.json".to_owned(), bill, 0o644));
    let label =
        |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    image.labels = vec![
        label("title", of.name),
        label("description", of.description),
        label("version", version),
        label("licenses", env!("CARGO_PKG_LICENSE")),
    ];
    Ok(image)
}

fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// A tar that tells nothing of when and by whom it was made.
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
