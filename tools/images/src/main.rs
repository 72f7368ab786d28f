//! `boboyka-images`: writes the release images of the sidecar and the operator to `target/images`, with their files beside
//! them. `boboyka-images STATIC PROFILE FOLDER` writes those of other static programs into a folder, without the files, and
//! `boboyka-images bill PACKAGE` prints the bill of materials of a package.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use boboyka_images::{Architecture, Profile, bill, product_archives, product_images};

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => tell(&product_images(Profile::Release, &Architecture::ALL)?),
        [what, package] if what == "bill" => {
            let bill = bill(&package.to_string_lossy())?;
            std::io::stdout()
                .write_all(&bill)
                .context("could not print the bill")
        }
        [programs, profile, folder] => {
            let programs = |one: Architecture| Path::new(programs).join(one.target()).join(profile);
            tell(&product_archives(programs, Path::new(folder))?)
        }
        _ => bail!("usage: boboyka-images [STATIC PROFILE FOLDER | bill PACKAGE]"),
    }
}

fn tell(images: &[PathBuf]) -> Result<()> {
    for image in images {
        writeln!(std::io::stdout(), "{}", image.display()).context("could not print the path")?;
    }
    Ok(())
}
