//! Writes the contract of the API into the given file.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let file = std::env::args_os().nth(1);
    let file = PathBuf::from(file.context("usage: openapi FILE")?);
    std::fs::write(&file, boboyka_sidecar::contract())
        .with_context(|| format!("could not write {}", file.display()))
}
