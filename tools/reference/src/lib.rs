//! The reference of the documents, made of what the programs say of themselves: the contract of the API, the definitions of
//! the resources, the chart's values, the operator's metrics, the flags. A test holds the committed pages to it.

#![allow(
    clippy::indexing_slicing,
    reason = "what JSON lacks is null by an index; it does not panic"
)]

mod calls;
mod flags;
mod metrics;
mod resources;
mod table;
mod values;

use anyhow::Result;

/// A file: its name and its text.
pub type File = (&'static str, String);

/// The pages below `docs/reference`.
///
/// # Errors
/// A source can't be read.
pub fn pages() -> Result<Vec<File>> {
    Ok(vec![
        ("calls.md", calls::page()?),
        ("flags.md", flags::page()),
        ("metrics.md", metrics::page()?),
        ("resources.md", resources::page()?),
        ("values.md", values::page()?),
    ])
}

/// The manual pages of the sidecar and the operator.
///
/// # Errors
/// A page can't be made.
pub fn manuals() -> Result<Vec<File>> {
    Ok(vec![
        ("boboyka-operator.1", flags::manual(flags::operator())?),
        ("boboyka-sidecar.1", flags::manual(flags::sidecar())?),
    ])
}
