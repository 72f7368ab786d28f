//! Opening, appending, watching, closing.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;

use boboyka_strand::retention::{PayloadAges, Policy};
use boboyka_strand::{Head, Record, Seq};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::append::{Appended, KeyConflict, NewRecord};
use crate::archive::UNFINISHED_RESTORE;
use crate::background::{self, TASKS_MAX};
use crate::clock::now_ms;
use crate::commits::{Commits, Committed};
use crate::error::{OpenError, WriteError};
use crate::files::{failed, make_folder};
use crate::gap::Gap;
use crate::job::Job;
use crate::journal::{Keeper, Line};
use crate::key::IdempotencyKey;
use crate::lock::Lock;
use crate::open;
use crate::options::Options;
use crate::phase::PhaseState;
use crate::poison::{Poison, PoisonOnPanic};
use crate::pruned::PrunedIndex;
use crate::quarantine::{Quarantine, Quarantined};
use crate::queue::Queue;
use crate::recent::Recent;
use crate::shared::{Shared, Signals};
use crate::signing::Signing;
use crate::tlog::{Kept, Pins};
use crate::view::View;
use crate::writer::{SealPause, Writer};

/// A strand on disk. Cheap to clone; closed when [`Store::close`] is called.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// A folder whose restore was not finished holds a part of a strand.
fn restored(data_dir: &Path) -> Result<(), OpenError> {
    if data_dir.join(UNFINISHED_RESTORE).exists() {
        let path = data_dir.to_owned();
        return Err(OpenError::Unrestored { path });
    }
    Ok(())
}

impl Store {
    /// Opens a data folder, or makes a new strand in it.
    ///
    /// # Errors
    /// When another process has it open, or the disk can't be read. Damage is no error: what is
    /// damaged is quarantined, see [`Store::quarantined`].
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let data_dir = options.data_dir.clone();
        make_folder(&data_dir)?;
        restored(&data_dir)?;
        let lock = Lock::take(&data_dir)?;
        let quarantine = Quarantine::of(&data_dir);
        let mut opened = open::open(&options, &quarantine, now_ms())?;
        let shared = Arc::new(Shared {
            options,
            strand: opened.strand,
            tail: opened.tail,
            queue: Queue::default(),
            signals: Signals::of(&opened.state.view()),
            state: RwLock::new(opened.state),
            pruned_index: PrunedIndex::of(&data_dir),
            segments_folder: opened.segments_folder,
            versions: opened.versions,
            rebuilt: opened.rebuilt,
            poison: Poison::new(),
            quarantine,
            lock,
            tree_file: opened.tree_file,
            kept: Kept::of(&data_dir),
            pins: Mutex::new(Pins::open(&data_dir)),
            signing: Signing::of(&data_dir, opened.strand, opened.summary.incarnation.clone()),
            scrub_wanted: AtomicU64::new(0),
            recent: Recent::default(),
            commits: Commits::default(),
        });
        let (tasks, receiver) = sync_channel(TASKS_MAX);
        let (chores, keeper_chores) = sync_channel(TASKS_MAX);
        let (spares, line_spares) = channel();
        let (noted, format) = (opened.summary.noted.clone(), opened.summary.format);
        let marks = opened.summary.marks;
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            ledger: opened.ledger,
            summary: opened.summary,
            spares,
        };
        opened.journal.connect(Line {
            chores: chores.clone(),
            spares: line_spares,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            keys: opened.keys,
            witness: opened.witness,
            background: tasks,
            sealing: false,
            seal_pause: SealPause::default(),
            journal: opened.journal,
            chores,
            checkpointing: false,
            entries: Vec::new(),
            noted,
            marks,
            format,
            data_dir,
            policy: Policy::default(),
            ages: PayloadAges::default(),
            stripping: Weak::new(),
        };
        let other = Arc::clone(&shared);
        let background = spawn("background", &shared, move || {
            background::work(&other, &receiver);
        })?;
        let keeper = spawn("keeper", &shared, move || keeper.work(&keeper_chores))?;
        let writer = spawn("writer", &shared, move || writer.work())?;
        let threads = Arc::new(Mutex::new(vec![writer, background, keeper]));
        Ok(Self { shared, threads })
    }

    /// Appends records: all that can be, in one commit. Answers when they are durable, in their order.
    ///
    /// # Errors
    /// [`WriteError`] when nothing was appended. A record whose idempotency key conflicts is refused
    /// by itself.
    pub async fn append(
        &self,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Result<Appended, KeyConflict>>, WriteError> {
        self.enqueue(records, None).await
    }

    /// Appends records that share a key, as one unit: the same key with the same records in the same
    /// order gives the receipts of the first time.
    ///
    /// # Errors
    /// [`WriteError`] when nothing was appended; the same conflict for every record when the key came
    /// with other content.
    pub async fn append_unit(
        &self,
        records: Vec<Record>,
        key: IdempotencyKey,
    ) -> Result<Vec<Result<Appended, KeyConflict>>, WriteError> {
        let records = records
            .into_iter()
            .map(|record| NewRecord { record, key: None });
        self.enqueue(records.collect(), Some(key)).await
    }

    async fn enqueue(
        &self,
        records: Vec<NewRecord>,
        unit: Option<IdempotencyKey>,
    ) -> Result<Vec<Result<Appended, KeyConflict>>, WriteError> {
        if self.shared.poison.is_set() {
            return Err(WriteError::Poisoned);
        }
        let reply = self.shared.queue.append(records, unit)?;
        reply.await.unwrap_or(Err(WriteError::Poisoned))
    }

    /// Keeps the latest commits from now on.
    pub fn keep_commits(&self) {
        self.shared.commits.keep();
    }

    /// The commit that a record came with, if it is one of the latest and they are kept.
    pub fn commit_of(&self, seq: Seq) -> Option<Committed> {
        self.shared.commits.of(seq)
    }

    /// The strand's id.
    pub fn strand_id(&self) -> Uuid {
        self.shared.strand
    }

    /// The strand as it is now, consistent in itself.
    pub fn view(&self) -> View {
        self.shared.view()
    }

    /// Changes whenever anything in a [`View`] does.
    pub fn watch_view(&self) -> watch::Receiver<()> {
        self.shared.signals.view.subscribe()
    }

    /// Changes whenever blocks are appended.
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.shared.signals.head.subscribe()
    }

    /// Changes whenever the phase does.
    pub fn watch_phase(&self) -> watch::Receiver<Option<PhaseState>> {
        self.shared.signals.phase.subscribe()
    }

    /// What lies in quarantine until an operator removes it. Reads a folder.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.shared.quarantine.list()
    }

    /// Records in the strand what lies in quarantine, each folder once.
    ///
    /// # Errors
    /// [`WriteError`] when that is not durable.
    pub async fn record_quarantined(&self) -> Result<(), WriteError> {
        for found in self.quarantined() {
            let (reply, done) = oneshot::channel();
            self.shared.queue.push(Job::Quarantined { found, reply })?;
            done.await.unwrap_or(Err(WriteError::Poisoned))?;
        }
        Ok(())
    }

    /// Acknowledged records that the disk has lost, oldest first.
    pub fn gaps(&self) -> Vec<Gap> {
        self.shared.state().memory().gaps().to_vec()
    }

    /// Why opening made the tail's index anew, if it did. Nothing is lost by that.
    pub fn tail_rebuilt(&self) -> Option<&str> {
        self.shared.rebuilt.as_deref()
    }

    /// Waits until the store is poisoned and returns the reason.
    pub async fn poisoned(&self) -> String {
        self.shared.poison.wait().await
    }

    /// Whether the store is poisoned.
    pub fn is_poisoned(&self) -> bool {
        self.shared.poison.is_set()
    }

    /// Writes what waits, refuses what comes later, and returns when the disk is at rest. Blocking.
    pub fn close(&self) {
        self.shared.queue.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            let name = thread.thread().name().unwrap_or("unnamed").to_owned();
            if thread.join().is_err() {
                tracing::error!(thread = name, "the store's thread {name} panicked");
            }
        }
    }

    /// Asks whether a data folder is there and no process has it open.
    pub(super) fn check_unused(data_dir: &Path) -> Result<(), OpenError> {
        Lock::look(data_dir)
    }
}

/// Starts a thread that must not die unseen.
fn spawn(
    name: &'static str,
    shared: &Shared,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let poison = shared.poison.clone();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _watch = PoisonOnPanic(poison, name);
            work();
        })
        .map_err(failed("start the threads of", &shared.options.data_dir))
}
