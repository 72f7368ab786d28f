//! One segment: asked for, uploaded, asked for again.

use std::time::Duration;

use super::rounds::Archiver;
use crate::bucket::Bucket;
use crate::fault::{Fault, Kind};
use crate::name::{Listing, Range};
use crate::presence::Presence;
use crate::source::{Segment, Source};

/// What an upload may take of the network on the average, in bytes a second: an agent's requests go before.
const BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

impl<S: Source> Archiver<S> {
    /// Returns when the archive holds a segment.
    pub(super) async fn hold(&mut self, bucket: &Bucket, segment: &Segment) -> Result<(), Fault> {
        let range = Range {
            first: segment.first,
            last: segment.last,
        };
        let object = self.object(&range.to_string());
        if self.is_held(bucket, segment, &object).await? {
            return Ok(());
        }
        self.alone(bucket, range).await?;
        let file = self.source.file(segment.first).await;
        let file = file.map_err(|error| Fault::new(Kind::Damaged, &object, error.0))?;
        // It was pruned before there was an archive to wait for.
        let Some(bytes) = file else {
            return Ok(());
        };
        let created = bucket.create(&object, bytes, &segment.identity).await;
        // A create that failed may have been done, by this request or by somebody else's.
        match (created, self.is_held(bucket, segment, &object).await) {
            (Ok(()), Ok(true)) => self.uploaded(segment).await,
            (Err(_), Ok(true)) => {}
            (_, Err(conflict)) if conflict.kind == Kind::Conflict => return Err(conflict),
            (Err(fault), _) | (Ok(()), Err(fault)) => return Err(fault),
            (Ok(()), Ok(false)) => {
                let why = "the store took it and does not have it";
                return Err(Fault::new(Kind::Failed, object, why));
            }
        }
        Ok(())
    }

    async fn uploaded(&self, segment: &Segment) {
        let now_ms = self.source.now_ms();
        self.status.send_modify(|status| {
            status.uploaded += 1;
            status.uploaded_bytes += segment.bytes;
            status.last_upload_ms = Some(now_ms);
        });
        let (first, last, archive) = (segment.first, segment.last, self.place.to_string());
        tracing::info!(
            first,
            last,
            archive,
            bytes = segment.bytes,
            "archived the blocks {first} to {last}"
        );
        let ms = segment.bytes.saturating_mul(1000) / BYTES_PER_SECOND;
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn is_held(
        &self,
        bucket: &Bucket,
        segment: &Segment,
        object: &str,
    ) -> Result<bool, Fault> {
        let mut presence = Presence::of(segment, bucket.look(object).await?.as_ref());
        if presence == Presence::Unknown {
            let content = bucket.segment(object).await?.unwrap_or_default();
            let identity = self.source.identify(content.to_vec()).await;
            presence = Presence::of_content(segment, identity);
        }
        match presence {
            Presence::Held => Ok(true),
            Presence::Absent | Presence::Unknown => Ok(false),
            Presence::Other(why) => {
                let what = format!("{}/{object}", self.place);
                Err(Fault::new(Kind::Conflict, what, why))
            }
        }
    }

    /// Looks, before it writes the first time, whether another history of the strand is there.
    async fn alone(&mut self, bucket: &Bucket, range: Range) -> Result<(), Fault> {
        if self.listing.is_none() {
            self.next_checkpoint(bucket, 0).await?;
            let names = bucket.names(&self.source.strand().to_string()).await?;
            self.listing = Some(Listing::of(names.iter().map(String::as_str)));
        }
        let other = self.listing.as_ref().and_then(|it| it.other_than(range));
        let Some(other) = other else {
            return Ok(());
        };
        // It may have been moved away since.
        self.listing = None;
        let what = format!("{}/{}", self.place, self.object(&other.to_string()));
        let why = format!("it holds seqs of {range}, of another history of the strand");
        Err(Fault::new(Kind::Conflict, what, why))
    }
}
