//! What a report is made of: a snapshot of the store, the mirror and the phase follower.

use std::path::PathBuf;

use boboyka_cosigning::Cosigned;
use boboyka_crds::{BackfillReport, Chain, LegacyList, LegacyReport, LogReport};
use boboyka_mirror::{Foreign, LaneStatus, Mirror};
use boboyka_store::{ListChange, Store, View, causes};
use boboyka_strand::{Hash, Seq};
use tokio::sync::watch;
use uuid::Uuid;

use super::disk::Disk;
use super::legacy::Listed;
use super::log::{self, Earlier, Witnessing};
use crate::archive::{ArchiveHandle, Archived};
use crate::integration::Integration;
use crate::phase::TransitionProgress;

/// What the sidecar sees of itself.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Whether it takes records.
    pub(super) ready: bool,
    pub(super) strand_id: Uuid,
    pub(super) strand: View,
    /// The block that the operator asked for, if the strand has it.
    pub(super) witnessed: Option<(Seq, Hash)>,
    pub(super) lanes: Vec<LaneStatus>,
    /// Rows that no strand wrote.
    pub(super) foreign: Foreign,
    pub(super) chain: Chain,
    pub(super) boundary: Option<TransitionProgress>,
    /// How it stands to the list of legacy projects.
    pub(super) legacy: Option<LegacyReport>,
    /// What a backfill has imported, if one runs and has got further than the one before.
    pub(super) backfill: Option<BackfillReport>,
    /// The generation that set the legal hold which is asked for, while that is known.
    pub(super) held_since: Option<i64>,
    /// Whether the integration names a Supabase.
    pub(super) has_supabase: bool,
    pub(super) supabase_url: Option<String>,
    pub(super) disk_bytes: u64,
    /// What the segments take that hold records which a return to mirroring would send.
    pub(super) unmirrored_bytes: u64,
    /// How the archive stands; `None` without one.
    pub(super) archive: Option<Archived>,
    /// How the transparency log stands; `None` until it has begun.
    pub(super) log: Option<LogReport>,
    /// What witnesses make of its checkpoints; `None` when there is none to ask.
    pub(super) witnessed_log: Option<Witnessing>,
}

/// What a report depends on, of what the integration asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Whether it names a Supabase.
    pub(crate) has_supabase: bool,
    /// The list of legacy projects in force, while it is known.
    pub(crate) legacy: Option<ListChange>,
    /// The generation that set the legal hold which is asked for, while that is known.
    pub(crate) held_since: Option<i64>,
}

impl Wanted {
    pub(crate) fn of(integration: &Integration) -> Self {
        Self {
            has_supabase: integration.has_supabase,
            legacy: integration.legacy.clone(),
            held_since: Some(integration.retention)
                .filter(|it| it.hold)
                .and_then(|it| it.held_since),
        }
    }

    /// The generation that brought this list into force last, and its revision; 0 if it is not the list in force, or there
    /// never was one.
    pub(super) fn in_force(&self, list: &LegacyList) -> (i64, i64) {
        let known = self.legacy.as_ref().filter(|known| known.list == *list);
        known.map_or((0, 0), |known| (known.generation, known.revision))
    }
}

/// Where a report's contents come from.
#[derive(Clone)]
pub(crate) struct Source {
    store: Store,
    mirror: Mirror,
    boundary: watch::Receiver<Option<TransitionProgress>>,
    cosigned: watch::Receiver<Cosigned>,
    archive: ArchiveHandle,
    backfill: Option<watch::Receiver<Option<BackfillReport>>>,
    earlier: Option<Earlier>,
    data_dir: PathBuf,
    /// Whether this sidecar takes records at all.
    takes_records: bool,
    disk: Option<Disk>,
    witnessed: Option<Witnessed>,
}

/// The block that was asked for last, and what was found when the strand had this head.
#[derive(Clone, Copy)]
struct Witnessed {
    seq: Seq,
    head: Seq,
    hash: Option<Hash>,
}

impl Source {
    pub(crate) fn new(
        store: Store,
        mirror: Mirror,
        boundary: watch::Receiver<Option<TransitionProgress>>,
        cosigned: watch::Receiver<Cosigned>,
        data_dir: PathBuf,
        takes_records: bool,
    ) -> Self {
        Self {
            store,
            mirror,
            boundary,
            cosigned,
            archive: ArchiveHandle::none(),
            backfill: None,
            earlier: None,
            data_dir,
            takes_records,
            disk: None,
            witnessed: None,
        }
    }

    /// The same, with an archive.
    pub(crate) fn with_archive(self, archive: ArchiveHandle) -> Self {
        Self { archive, ..self }
    }

    /// The same, with what a backfill imports into the strand.
    pub(crate) fn with_backfill(self, backfill: watch::Receiver<Option<BackfillReport>>) -> Self {
        Self {
            backfill: Some(backfill),
            ..self
        }
    }

    /// What is seen now. None when the thread for it failed; the next look tries again.
    pub(super) async fn look(
        &mut self,
        running: bool,
        wanted: Wanted,
        asked: Option<Seq>,
    ) -> Option<Snapshot> {
        let mut source = self.clone();
        let look = move || {
            let snapshot = source.look_now(running, &wanted, asked);
            (source, snapshot)
        };
        let (source, snapshot) = tokio::task::spawn_blocking(look).await.ok()?;
        *self = source;
        Some(snapshot)
    }

    pub(super) fn look_now(
        &mut self,
        running: bool,
        wanted: &Wanted,
        asked: Option<Seq>,
    ) -> Snapshot {
        let disk = Disk::read(self.disk.take(), &self.store, &self.data_dir);
        self.disk = Some(disk.clone());
        let boundary = *self.boundary.borrow();
        let cosigned = self.cosigned.borrow().clone();
        // The list first: what is seen of the strand is not older than it.
        let (list, departed) = self.store.legacy();
        let strand = self.store.view();
        let lanes = self.mirror.lanes(&strand);
        // A backfill mirrors nothing.
        let has_supabase = wanted.has_supabase && self.backfill.is_none();
        Snapshot {
            ready: running && self.takes_records && !self.store.is_poisoned(),
            strand_id: self.store.strand_id(),
            witnessed: asked
                .filter(|seq| *seq > strand.floor.head.seq)
                .and_then(|seq| Some((seq, self.hash_of(seq, strand.head.seq)?))),
            // Where everything is mirrored there is no list. A strand that never had one obeys one that names nobody.
            legacy: strand.phase.filter(|it| !it.phase.mirrors()).map(|_| {
                let listed = Listed {
                    strand: &strand,
                    lanes: &lanes,
                    has_supabase,
                };
                listed.report(wanted.in_force(&list), &list, departed)
            }),
            lanes,
            backfill: self.backfill.as_ref().and_then(|it| it.borrow().clone()),
            foreign: self.mirror.foreign(),
            chain: disk.chain,
            boundary,
            held_since: wanted.held_since,
            has_supabase,
            supabase_url: self.mirror.supabase_url(),
            disk_bytes: disk.bytes,
            unmirrored_bytes: self.store.unmirrored_bytes(),
            archive: self.archive.now(),
            log: log::report(&self.store, &cosigned, &mut self.earlier),
            witnessed_log: log::witnessing(&cosigned),
            strand,
        }
    }

    /// The hash of a block; looked up once, and again once the strand has grown up to it.
    fn hash_of(&mut self, seq: Seq, head: Seq) -> Option<Hash> {
        if let Some(known) = self.witnessed.filter(|known| known.seq == seq)
            && (known.head >= seq || head < seq)
        {
            return known.hash;
        }
        let found = self.store.block(seq).unwrap_or_else(|error| {
            let error = causes(&error);
            tracing::warn!(seq, error, "could not read the block {seq}");
            None
        });
        let hash = found.map(|block| block.hash);
        self.witnessed = Some(Witnessed { seq, head, hash });
        hash
    }
}
