//! `boboyka-reference docs FOLDER` writes the generated pages of the documents, `boboyka-reference man FOLDER` the manual
//! pages of the sidecar and the operator.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: boboyka-reference docs|man FOLDER";
    let what = arguments.next().context(usage)?;
    let folder = PathBuf::from(arguments.next().context(usage)?);
    let files = match what.to_str() {
        Some("docs") => boboyka_reference::pages()?,
        Some("man") => boboyka_reference::manuals()?,
        _ => bail!(usage),
    };
    std::fs::create_dir_all(&folder).with_context(|| told(&folder))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| told(&path))?;
    }
    Ok(())
}

fn told(path: &Path) -> String {
    format!("could not write {}", path.display())
}
