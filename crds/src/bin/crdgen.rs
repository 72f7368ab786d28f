//! Writes the YAML of both definitions into the given folder.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("usage: crdgen FOLDER")?);
    for definition in boboyka_crds::definitions()? {
        let path = folder.join(format!("{}.yaml", definition.spec.names.plural));
        std::fs::write(&path, boboyka_crds::to_yaml(&definition)?)
            .with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}
