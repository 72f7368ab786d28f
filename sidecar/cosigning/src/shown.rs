//! What witnesses show of a log: asked before a log is signed again that may have gone back.

use boboyka_tlog::Note;
use boboyka_tlog::policy::Party;
use futures_util::future::join_all;

use crate::client::{Client, SetupError};

/// The newest checkpoint of a log that each witness with a URL has cosigned, as far as it shows one. Nothing is verified. Takes
/// ten seconds at most: a witness that does not answer has no say.
///
/// # Errors
/// The HTTP client can't be set up.
pub async fn shown(witnesses: &[Party], origin: &str) -> Result<Vec<Note>, SetupError> {
    let client = &Client::new()?;
    let asked = witnesses.iter().filter_map(|party| {
        let prefix = party.url.as_deref()?;
        Some(async move { (party.key.name(), client.newest(prefix, origin).await) })
    });
    let mut notes = Vec::new();
    for (witness, answer) in join_all(asked).await {
        match answer {
            Ok(note) => notes.extend(note),
            Err(error) => tracing::warn!(
                witness,
                origin,
                error,
                "{witness} does not say what it has cosigned of {origin}, which is signed again without its word: {error}"
            ),
        }
    }
    Ok(notes)
}
