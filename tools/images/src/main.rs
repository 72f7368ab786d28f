//! `boboyka-images`: writes the release images of the sidecar and the operator to `target/images`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use boboyka_images::{Architecture, Profile, product_images};

fn main() -> Result<()> {
    for image in product_images(Profile::Release, &Architecture::ALL)? {
        writeln!(std::io::stdout(), "{}", image.display()).context("could not print the path")?;
    }
    Ok(())
}
