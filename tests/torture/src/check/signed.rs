//! No published checkpoint is ever contradicted: under the same origin, the log begins with every tree that was seen.

use std::time::{Duration, Instant};

use boboyka_tests::process::GUARD;
use boboyka_tlog::proof::verify_consistency;
use boboyka_tlog::{Checkpoint, Note, TreeHash};

use crate::subject::Subject;

const PAUSE: Duration = Duration::from_millis(5);

/// Compares what was published with the log that the sidecar serves. `Some` when the log has another origin now, which it
/// must not have unless something is lost.
///
/// # Errors
/// A checkpoint is contradicted, or there is no log.
pub(super) async fn check(
    subject: &Subject,
    published: &[String],
) -> Result<Option<String>, String> {
    if published.is_empty() {
        return Ok(None);
    }
    let now = newest(subject).await?;
    for line in published {
        let mut parts = line.split(' ');
        let (origin, size, root) = (parts.next(), parts.next(), parts.next());
        if origin != Some(now.origin()) {
            continue;
        }
        let size: u64 = size
            .and_then(|size| size.parse().ok())
            .ok_or(line.as_str())?;
        let root: TreeHash = root
            .and_then(|root| root.parse().ok())
            .ok_or(line.as_str())?;
        begins_with(subject, &now, (size, root)).await?;
    }
    let last = published
        .last()
        .map_or("", |line| line.split(' ').next().unwrap_or_default());
    let moved = format!("the log goes on under {} instead of {last}", now.origin());
    Ok((last != now.origin()).then_some(moved))
}

async fn newest(subject: &Subject) -> Result<Checkpoint, String> {
    let begun = Instant::now();
    loop {
        let (status, text) = subject.text("/v1/boboyka/log/checkpoint").await?;
        if status == 200 {
            let note: Note = text.parse().map_err(|error| format!("{error}: {text}"))?;
            return Checkpoint::of_note(&note).map_err(|error| format!("{error}: {text}"));
        }
        if begun.elapsed() > GUARD {
            return Err(format!("no checkpoint is signed: {status}: {text}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn begins_with(
    subject: &Subject,
    now: &Checkpoint,
    old: (u64, TreeHash),
) -> Result<(), String> {
    let contradicted = |why: &str| {
        format!(
            "the published checkpoint of {} records is contradicted: {why}",
            old.0
        )
    };
    if old.0 > now.size() {
        return Err(contradicted(&format!("the log has {}", now.size())));
    }
    let path = format!(
        "/v1/boboyka/log/consistency?from={}&to={}",
        old.0,
        now.size()
    );
    let (status, answer) = subject.get(&path).await?;
    if status == 410 {
        // What an older one than the newest needs may be pruned.
        return Ok(());
    }
    let hashes = answer["hashes"].as_array().into_iter().flatten();
    let hashes: Result<Vec<TreeHash>, _> = hashes
        .map(|hash| hash.as_str().unwrap_or_default().parse())
        .collect();
    let hashes = hashes.map_err(|error| format!("{error}: {answer}"))?;
    verify_consistency(old, (now.size(), now.root()), &hashes)
        .map_err(|error| contradicted(&format!("{status}: {error}")))
}
