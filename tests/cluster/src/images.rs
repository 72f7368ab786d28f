//! The images that a cluster's nodes load: the product's, and the probe that only tests run.

use std::path::PathBuf;

use anyhow::Result;
use boboyka_images::{Architecture, Image, Profile, product_images};

const PROBE: &str = "boboyka-probe";

/// The archives of the images that `make test-images` built. Fails when one is not built.
pub fn test_images() -> Result<Vec<PathBuf>> {
    images(Profile::Debug)
}

/// The same of the release build, for benchmarks.
pub fn release_images() -> Result<Vec<PathBuf>> {
    images(Profile::Release)
}

fn images(profile: Profile) -> Result<Vec<PathBuf>> {
    let here = Architecture::Amd64;
    let mut archives = product_images(profile, &[here])?;
    let probe = Image::of_program(
        &format!("localhost/{PROBE}:test"),
        &profile.programs(here).join(PROBE),
    )?;
    archives.push(probe.write(&profile.images().join(format!("{PROBE}.tar")))?);
    Ok(archives)
}
