//! Rebuilds a lost strand from its archive, and says what of it is missing.
//!
//! Everything is done in a folder within the data folder. Its parts are moved out when all of it holds; a sidecar opens nothing
//! before the last one is.

mod claim;
mod error;
mod fetch;
mod folder;

use std::ops::ControlFlow;

use boboyka_archive::Bucket;
use boboyka_store::{Options, Store, Verdict};
use boboyka_strand::{Hash, Seq};

use self::claim::{Claim, Comparison};
pub use self::error::RestoreError;
use self::folder::Folder;
use crate::config::Restore;

/// What was restored.
struct Rebuilt {
    head: Seq,
    hash: Hash,
    comparison: Comparison,
    /// What there is to say of payloads that are not there.
    payloads: Option<String>,
    incarnation: u64,
}

/// Rebuilds a strand.
///
/// # Errors
/// Why it is not there.
pub async fn restore(
    options: Restore,
    mut say: impl FnMut(&str) + Send,
) -> Result<(), RestoreError> {
    let settings = options.keys.read().map_err(RestoreError::Settings)?;
    let bucket = Bucket::open(&options.from, &settings)?;
    let strand = fetch::strand(&bucket, options.strand).await?;
    let claim = Claim::read(&bucket, strand, &options).await?;
    let folder = Folder::make(&options.data_dir)?;
    let fetched = fetch::segments(&bucket, strand, &folder.segments()).await?;
    let records = fetched.seq;
    let work = folder.path().to_owned();
    let work = move || rebuild(&work, records, &claim);
    let rebuilt = tokio::task::spawn_blocking(work).await;
    let rebuilt =
        rebuilt.map_err(|error| RestoreError::Folder(format!("the restore failed: {error}")))??;
    folder.finish()?;
    let (head, hash) = (rebuilt.head, rebuilt.hash);
    say(&format!(
        "restored: the records 1 to {records} of the strand {strand}; every block and every digest holds"
    ));
    let lines = rebuilt.comparison.lines(records).into_iter();
    for line in lines.chain(rebuilt.payloads) {
        say(&line);
    }
    say(&format!(
        "the log goes on as incarnation {}: record {head}, hash {hash}, says so",
        rebuilt.incarnation
    ));
    Ok(())
}

/// Opens what was fetched as a strand, compares it with the checkpoint, and lets its log go on.
fn rebuild(work: &std::path::Path, records: Seq, claim: &Claim) -> Result<Rebuilt, RestoreError> {
    let store = Store::open(Options {
        min_free_bytes: 0,
        from_segments: true,
        ..Options::new(work)
    })?;
    let rebuilt = rebuild_open(&store, records, claim);
    store.close();
    rebuilt
}

fn rebuild_open(store: &Store, records: Seq, claim: &Claim) -> Result<Rebuilt, RestoreError> {
    let there = store.view().head.seq;
    if there != records {
        return Err(RestoreError::Folder(format!(
            "the data folder has {there} of {records} records: its disk does not keep what is written"
        )));
    }
    let comparison = claim.compare(store, records)?;
    let payloads = payloads(&store.verify(|_| ControlFlow::Continue(())));
    let incarnation = store.go_on_restored(&claim.note, claim.archived.as_ref())?;
    let head = store.view().head;
    Ok(Rebuilt {
        head: head.seq,
        hash: head.hash,
        comparison,
        payloads,
        incarnation,
    })
}

/// What a check of all that was restored says of payloads that are not there: no digest of a file tells who removed them.
fn payloads(verdict: &Verdict) -> Option<String> {
    match &verdict.reason {
        Some(reason) if !verdict.ok => Some(format!("DOES NOT HOLD: {reason}")),
        _ if verdict.payloads_gone > 0 => Some(format!(
            "{} records are without their payload, which retention removed before they were archived; the strand says so",
            verdict.payloads_gone
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use boboyka_store::Verdict;
    use boboyka_strand::Head;

    use super::payloads;

    #[test]
    fn payloads_that_are_not_there_are_told_and_those_that_somebody_removed_are_not_excused() {
        let whole = Verdict {
            ok: true,
            floor: Head::EMPTY,
            verified: 9,
            payloads_gone: 0,
            head: Head::EMPTY,
            broken_seq: None,
            reason: None,
        };
        assert_eq!(payloads(&whole), None);
        let gone = Verdict {
            payloads_gone: 3,
            ..whole.clone()
        };
        let told = payloads(&gone).unwrap();
        assert!(told.starts_with("3 records are without"), "{told}");
        let removed = Verdict {
            ok: false,
            broken_seq: Some(1),
            reason: Some("payloads are gone".to_owned()),
            ..gone
        };
        let told = payloads(&removed).unwrap();
        assert_eq!(told, "DOES NOT HOLD: payloads are gone");
    }
}
