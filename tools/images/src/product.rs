//! The product's two images: which program each holds, which labels it bears, where it is written.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::architecture::Architecture;
use crate::image::{Image, write_all};
use crate::sbom;

/// A program of the product that ships as an image.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of its package, image and file.
    pub name: &'static str,
    description: &'static str,
    /// Whether it connects to public HTTPS servers and needs the public CA bundle.
    https: bool,
}

/// The sidecar.
pub const SIDECAR: Program = Program {
    name: "boboyka-sidecar",
    description: "Takes Boboyka's records, keeps them in a hash-chained strand, mirrors them to Supabase",
    https: true,
};

/// The operator. It connects to the API server only, whose CA bundle comes with its token.
pub const OPERATOR: Program = Program {
    name: "boboyka-operator",
    description: "Turns a BoboykaIntegration into sidecars, strands on volumes, and a gated migration",
    https: false,
};

/// Which static build an image is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The build for tests, `make test-images`.
    Debug,
    /// The build for use, `make images`.
    Release,
}

impl Profile {
    /// The folder with the static programs of this profile for a machine.
    pub fn programs(self, architecture: Architecture) -> PathBuf {
        let profile = match self {
            Self::Debug => "debug",
            Self::Release => "release",
        };
        target()
            .join("static")
            .join(architecture.target())
            .join(profile)
    }

    /// The folder that the images of this profile are written to.
    pub fn images(self) -> PathBuf {
        target().join(match self {
            Self::Debug => "test-images",
            Self::Release => "images",
        })
    }
}

fn target() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target"))
}

/// Writes the archives of both images for these architectures, and beside each its files, for the Dockerfile to copy.
///
/// Returns the archives' paths. Fails when a program is not built or its metadata can't be read.
pub fn product_images(profile: Profile, architectures: &[Architecture]) -> Result<Vec<PathBuf>> {
    let folder = profile.images();
    let mut archives = Vec::new();
    for program in [SIDECAR, OPERATOR] {
        let mut images = Vec::new();
        for architecture in architectures {
            let file = profile.programs(*architecture).join(program.name);
            let image = product_image(&program, &file)?;
            let beside = folder.join(program.name).join(architecture.name());
            image.write_files(&beside)?;
            images.push(image);
        }
        let archive = folder.join(format!("{}.tar", program.name));
        archives.push(write_all(&images, &archive)?);
    }
    Ok(archives)
}

/// Writes the archives of both images, made of the programs in a folder for each architecture, into a folder, and returns
/// their paths.
pub fn product_archives(
    programs: impl Fn(Architecture) -> PathBuf,
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let archives = [SIDECAR, OPERATOR].iter().map(|program| {
        let images =
            Architecture::ALL.map(|one| product_image(program, &programs(one).join(program.name)));
        let images = images.into_iter().collect::<Result<Vec<_>>>()?;
        write_all(&images, &folder.join(format!("{}.tar", program.name)))
    });
    archives.collect()
}

/// The image of a program: the program, its bill of materials, the CA bundle if it needs one.
pub fn product_image(program: &Program, file: &Path) -> Result<Image> {
    let version = env!("CARGO_PKG_VERSION");
    let mut image = Image::of_program(&format!("localhost/{}:{version}", program.name), file)?;
    if program.https {
        image.files.push((
            "etc/ssl/certs/ca-certificates.crt".to_owned(),
            ca_bundle().into_bytes(),
            0o644,
        ));
    }
    let bill = sbom::bill(program.name)?;
    image.files.push(("sbom.cdx.json".to_owned(), bill, 0o644));
    let label =
        |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    image.labels = vec![
        label("title", program.name),
        label("description", program.description),
        label("version", version),
        label("licenses", env!("CARGO_PKG_LICENSE")),
    ];
    Ok(image)
}

fn ca_bundle() -> String {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    roots
        .map(|root| pem::encode(&pem::Pem::new("CERTIFICATE", root.as_ref())))
        .collect()
}
