//! Fetching a strand's segments, each checked before the next one is asked for.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use boboyka_archive::{Bucket, Listing, Range};
use boboyka_store::check_sealed;
use boboyka_strand::Head;
use uuid::Uuid;

use super::error::RestoreError;
use super::folder::failed;

/// The strand that is meant.
pub(super) async fn strand(bucket: &Bucket, asked: Option<Uuid>) -> Result<Uuid, RestoreError> {
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let names = bucket.strands().await?;
    let ids: Vec<Uuid> = names.iter().filter_map(|name| name.parse().ok()).collect();
    match *ids {
        [only] => Ok(only),
        [] => Err(RestoreError::Strand("the archive has no strand".to_owned())),
        _ => {
            let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
            let why = format!(
                "the archive has the strands {}: name one by --strand",
                ids.join(", ")
            );
            Err(RestoreError::Strand(why))
        }
    }
}

/// Fetches all segments into a folder; the last block.
pub(super) async fn segments(
    bucket: &Bucket,
    strand: Uuid,
    folder: &Path,
) -> Result<Head, RestoreError> {
    let names = bucket.names(&strand.to_string()).await?;
    let listing = Listing::of(names.iter().map(String::as_str));
    let chain = listing.chain();
    let chain = chain.map_err(|why| RestoreError::Incomplete { strand, why })?;
    let mut at = Head::EMPTY;
    for range in chain {
        at = segment(bucket, strand, *range, folder, at).await?;
    }
    Ok(at)
}

async fn segment(
    bucket: &Bucket,
    strand: Uuid,
    range: Range,
    folder: &Path,
    before: Head,
) -> Result<Head, RestoreError> {
    let object = format!("{strand}/{range}");
    let altered = |why: String| RestoreError::Altered {
        object: object.clone(),
        why,
    };
    let content = bucket.segment(&object).await?;
    let content = content.ok_or_else(|| altered("it is gone".to_owned()))?;
    let path = folder.join(format!("{:020}.seg", range.first));
    let check = move || -> Result<Result<_, String>, RestoreError> {
        write(&path, &content)?;
        Ok(check_sealed(&path, before))
    };
    let checked = tokio::task::spawn_blocking(check).await;
    let checked = checked.map_err(|error| altered(format!("it could not be checked: {error}")))?;
    let (of, head, _) = checked?.map_err(altered)?;
    if of != strand {
        return Err(altered(format!("it is a segment of the strand {of}")));
    }
    if head.seq != range.last {
        return Err(altered(format!("it ends with seq {}", head.seq)));
    }
    Ok(head)
}

fn write(path: &PathBuf, content: &[u8]) -> Result<(), RestoreError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| failed("write", path, &error))
}
