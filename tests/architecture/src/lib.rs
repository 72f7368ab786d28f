//! The module graph of a crate, read from its source. A file imports another when it names something that the other
//! defines, under whatever name parents hand it on. Two things are faults: a circle of imports, and an upward arrow, by
//! which a module imports what a module above it defines.
//!
//! Code behind `#[cfg(test)]` does not count. Calls of methods and accesses to fields name no module, and do not count.

mod cfg;
mod graph;
mod module;
mod read;
mod resolve;
mod written;

pub use graph::{Arrow, Graph};

use std::path::Path;

use anyhow::Result;

/// The graph of the crate whose root is a file like `src/lib.rs`. Fails when a file is missing or is no Rust.
pub fn graph(root: &Path) -> Result<Graph> {
    Ok(Graph::of(&read::tree(root)?))
}
