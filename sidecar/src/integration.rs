//! What the integration asks of this sidecar, wherever that comes from: the cluster's resource, or the flags of a
//! sidecar that runs on its own. Each task that obeys it holds a receiver of one watch channel.

use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_archive::{Place, Settings};
use boboyka_crds::{Backfill, Change, MirrorTable, Phase};
use boboyka_store::ListChange;
use boboyka_strand::retention::PayloadAges;

/// A phase that is in force, and the generation of the integration that brought it about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The phase.
    pub phase: Phase,
    /// The generation.
    pub generation: i64,
}

/// When the oldest part of the strand may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Records older than this may.
    pub max_age: Option<Duration>,
    /// What the strand takes of the disk beyond this many bytes may.
    pub max_size_bytes: Option<u64>,
    /// Payloads older than this may, while the headers of their records stay; by record type.
    pub payload_ages: PayloadAges,
    /// A legal hold: nothing may, whatever else is said.
    pub hold: bool,
    /// The generation that set the hold, as the status of the integration says.
    pub held_since: Option<i64>,
}

/// Where the strand is to be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRequest {
    /// The archive; `None` if that can't be read, and nothing is pruned.
    pub place: Option<Place>,
    /// How old a record may get before it is archived.
    pub after: Duration,
    /// How it is reached.
    pub keys: Keys,
}

/// How an archive is reached, besides flags and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// By these alone.
    Own,
    /// By the Secret of this name, which is mounted into the pod.
    Secret(String),
    /// By these alone, because the file of the integration has no Secret of this name.
    Missing(String),
    /// By a Secret that stands beside the integration.
    Told(Settings),
}

/// How often the sidecar reports into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Time between two reports when nothing is urgent.
    pub interval: Duration,
    /// Over how long a fleet spreads its urgent reports: each sidecar waits a random part of it.
    pub spread: Duration,
}

/// What the integration asks of this sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// The phase in force. While it is not known, what the strand itself recorded last counts; a strand that recorded
    /// nothing yet mirrors nothing.
    pub in_force: Option<InForce>,
    /// The generation of a change of phase under way, for which the sidecar fixes a boundary.
    pub transition: Option<i64>,
    /// Whether evidence is wanted for the steps of the migration: the scrub reads up to each boundary, and retention keeps what
    /// a way back needs until the end.
    pub has_migration: bool,
    /// The change that brought the phase into force, and whether the migration has ended.
    pub change: Option<Box<Change>>,
    /// The list of legacy projects in force; `None` while it is not known, and the strand keeps the one that it has.
    pub legacy: Option<ListChange>,
    /// The backfill that it asks for, which a sidecar in a pod leaves to a Job.
    pub backfill: Option<Backfill>,
    /// Whether there is no way back to an earlier phase.
    pub finalized: bool,
    /// Whether there is a Supabase to mirror to, so that retention must wait for the mirror.
    pub has_supabase: bool,
    /// How long an ingest waits for its row.
    pub ack_timeout: Duration,
    /// Most rows of a request to Supabase.
    pub batch_rows: usize,
    /// Tables that differ from the product's own, by record type.
    pub tables: BTreeMap<String, MirrorTable>,
    /// When the oldest part of the strand may go.
    pub retention: Retention,
    /// Where the strand is to be archived.
    pub archive: Option<ArchiveRequest>,
    /// Who witnesses the strand's log besides those of the command line, as a policy.
    pub witness_policy: Option<String>,
    /// How often to report.
    pub pace: Pace,
}

impl Integration {
    /// What a sidecar does before its integration is known.
    pub fn unknown() -> Self {
        Self {
            in_force: None,
            transition: None,
            has_migration: false,
            change: None,
            legacy: None,
            backfill: None,
            finalized: false,
            has_supabase: true,
            ack_timeout: Duration::from_secs(2),
            batch_rows: 500,
            tables: BTreeMap::new(),
            retention: Retention::default(),
            archive: None,
            witness_policy: None,
            pace: Pace {
                interval: Duration::from_secs(10),
                spread: Duration::ZERO,
            },
        }
    }

    /// What a sidecar does that runs on its own: it mirrors everything and keeps everything.
    pub fn standalone() -> Self {
        Self {
            in_force: Some(InForce {
                phase: Phase::DualWrite,
                generation: 0,
            }),
            legacy: Some(ListChange::default()),
            ..Self::unknown()
        }
    }
}
