//! What sidecars report of their strands' logs, and what is written on a strand that contradicts what was cosigned.

use std::collections::HashSet;

use boboyka_crds::{BoboykaStrand, Contradiction, LogReport};
use kube::{Client, ResourceExt as _};
use uuid::Uuid;

use super::judge::Reported;
use super::origin::Origin;
use crate::caches::Caches;
use crate::causes::causes;
use crate::strands::writer::contradict;

/// The strands of the cluster. Cheap to clone.
#[derive(Clone)]
pub(super) struct Strands {
    client: Client,
    caches: Caches,
}

impl Strands {
    pub(super) fn new(client: Client, caches: Caches) -> Self {
        Self { client, caches }
    }

    /// What the sidecar reports that holds the strand of an origin.
    pub(super) fn reported(&self, origin: Origin) -> Option<Reported> {
        let strand = self.caches.strands.find(|strand| is_of(strand, origin))?;
        let log = log(&strand)?;
        Some(Reported {
            origin: log.origin.clone(),
            key: log.vkey.parse().ok()?,
            earlier: log.earlier.clone(),
        })
    }

    /// The UUIDs of all strands; `None` before they have been listed.
    pub(super) fn ids(&self) -> Option<HashSet<Uuid>> {
        let mut ids = HashSet::new();
        self.caches.is_synced().then(|| {
            self.caches.strands.find(|strand| {
                ids.extend(id(strand));
                false
            });
            ids
        })
    }

    /// Says on a strand that its log contradicts what was cosigned. A strand that no resource tells of can't be told.
    ///
    /// # Errors
    /// It can't be written now.
    pub(super) async fn contradict(
        &self,
        origin: Origin,
        found: &Contradiction,
    ) -> Result<(), String> {
        let Some(strand) = self.caches.strands.find(|strand| is_of(strand, origin)) else {
            return Ok(());
        };
        let (namespace, name) = (strand.namespace().unwrap_or_default(), strand.name_any());
        tracing::error!(
            namespace,
            strand = name,
            origin = found.origin,
            size = found.size,
            "strand {name} contradicts a checkpoint that was cosigned: {}",
            found.message
        );
        let written = contradict(&self.client, &namespace, &name, found).await;
        written.map_err(|error| format!("could not write on strand {name}: {}", causes(&error)))
    }
}

fn is_of(strand: &BoboykaStrand, origin: Origin) -> bool {
    id(strand) == Some(origin.strand)
        && log(strand).is_some_and(|log| log.origin == origin.to_string())
}

fn id(strand: &BoboykaStrand) -> Option<Uuid> {
    strand.report()?.strand_id.as_deref()?.parse().ok()
}

fn log(strand: &BoboykaStrand) -> Option<&LogReport> {
    strand.report()?.log.as_ref()
}
