//! The store: the one door to the strand on disk.
//!
//! The invariant: `mark ≤ head` in every lane, `floor ≤ mirrored ≤ head` while there is somebody to
//! mirror for, and what is acknowledged is durable. An append is answered after its commit was flushed
//! and synced; readers see only what is durable. The newest blocks lie in the [`tail`], older ones in
//! sealed [`segment`]s, the oldest were pruned and the floor says where the strand begins since. After a
//! write that failed, nothing is acknowledged any more (the store is poisoned).

mod anchor;
mod background;
mod error;
mod floor;
mod key;
mod keys;
mod lane;
mod lock;
mod memory;
mod open;
mod phase;
mod poison;
mod progress;
mod pruned;
mod quarantine;
mod queue;
mod read;
mod retention;
mod seal;
mod segment;
mod tail;
mod tail_run;
#[cfg(test)]
mod tests;
mod verify;
mod witness;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use boboyka_strand::retention::Policy;
use boboyka_strand::{Block, Hash, Head, RECORD_TYPES, Record, RecordType, Seq};
use tokio::sync::watch;
use uuid::Uuid;

pub use error::{OpenError, ReadError, TailError, WriteError, causes};
pub use floor::Floor;
pub use key::{IdempotencyKey, KEY_MAX_BYTES};
pub use lane::{DeadLetter, Mark};
pub use phase::PhaseState;
pub use progress::Place;
pub use quarantine::Quarantined;
pub use queue::NewRecord;
pub use read::{LaneRead, PageQuery};
pub use retention::{RetentionStatus, told as blocker_told};
pub use verify::{Verdict, verify_offline};

use memory::Memory;
use poison::{Poison, PoisonOnPanic};
use queue::Queue;
use tail::Tail;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; created when it is missing.
    pub data_dir: PathBuf,
    /// Appends are refused while the disk has less free than this.
    pub min_free_bytes: u64,
    /// Blocks in the tail after which its older part is sealed.
    pub seal_blocks: usize,
    /// Bytes in the tail after which its older part is sealed.
    pub seal_bytes: usize,
}

impl Options {
    /// The defaults, for a data folder.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            // Room for a seal and for whatever else must be written to get out of the corner.
            min_free_bytes: 64 * 1024 * 1024,
            // Large enough that ten million records are hundreds of files, small enough that the
            // tail takes a few megabytes of memory and no time to open.
            seal_blocks: 16 * 1024,
            seal_bytes: 8 * 1024 * 1024,
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its type.
    pub record_type: RecordType,
    /// Its place.
    pub seq: Seq,
    /// Its hash: `record_hash`.
    pub hash: Hash,
    /// The hash of the block before it.
    pub parent_hash: Hash,
    /// Its id.
    pub record_id: Uuid,
    /// When it was appended, in milliseconds since 1970.
    pub ms: u64,
    /// Whether it had been appended before, with the same idempotency key.
    pub replayed: bool,
}

impl Appended {
    /// The receipt of the record that a block holds.
    pub fn of(block: &Block, replayed: bool) -> Self {
        let header = &block.header;
        Self {
            record_type: header.record_type,
            seq: header.seq,
            hash: block.hash,
            parent_hash: header.parent_hash,
            record_id: header.record_id,
            ms: header.timestamp_hlc.ms(),
            replayed,
        }
    }
}

/// Why a record with an idempotency key was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyConflict {
    /// The key came with other content before.
    #[error("the idempotency key was used with other content in the last 24 hours")]
    OtherContent,
    /// The part of the strand that would tell can't be read.
    #[error("whether the idempotency key was used can't be told: a part of the strand is damaged")]
    Unreadable,
}

/// What the store occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Sealed segments.
    pub segments: usize,
    /// Bytes in their files.
    pub segment_bytes: u64,
    /// Blocks in the tail.
    pub tail_blocks: usize,
    /// Bytes in the tail's values.
    pub tail_bytes: usize,
}

/// A strand on disk. Cheap to clone; closed when [`Store::close`] is called.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct Shared {
    options: Options,
    strand: Uuid,
    tail: Tail,
    queue: Queue,
    memory: RwLock<Memory>,
    marks: Mutex<[Mark; RECORD_TYPES]>,
    head: watch::Sender<Head>,
    phase: watch::Sender<Option<PhaseState>>,
    retention: Mutex<RetentionStatus>,
    /// Pruned segments whose files are still there.
    retired: Mutex<Vec<PathBuf>>,
    pruned_index: pruned::PrunedIndex,
    segments_folder: PathBuf,
    poison: Poison,
    quarantine: quarantine::Quarantine,
    _lock: lock::Lock,
}

impl Store {
    /// Opens a data folder, or makes a new strand in it.
    ///
    /// # Errors
    /// When another process has it open, or the disk can't be read. Damage is no error: what is
    /// damaged is set aside, see [`Store::quarantined`].
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let data_dir = options.data_dir.clone();
        std::fs::create_dir_all(&data_dir).map_err(quarantine::failed("create", &data_dir))?;
        let lock = lock::Lock::take(&data_dir)?;
        let quarantine = quarantine::Quarantine::of(&data_dir);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let opened = open::open(&data_dir, &quarantine, now_ms)?;
        let shared = Arc::new(Shared {
            options,
            strand: opened.strand,
            tail: opened.tail,
            queue: Queue::default(),
            head: watch::Sender::new(opened.head),
            phase: watch::Sender::new(opened.memory.phase()),
            retention: Mutex::new(RetentionStatus::begun_at(opened.memory.floor())),
            memory: RwLock::new(opened.memory),
            marks: Mutex::new(opened.marks),
            retired: Mutex::default(),
            pruned_index: pruned::PrunedIndex::of(&data_dir),
            segments_folder: opened.segments_folder.clone(),
            poison: Poison::new(),
            quarantine,
            _lock: lock,
        });
        let (background, tasks) = mpsc::sync_channel(background::TASKS_MAX);
        let other = Arc::clone(&shared);
        let (folder, strand) = (opened.segments_folder, opened.strand);
        let writer = writer::Writer {
            shared: Arc::clone(&shared),
            keys: opened.keys,
            witness: opened.witness,
            background,
            sealing: false,
            to_remove: Vec::new(),
            data_dir: data_dir.clone(),
            policy: Policy::default(),
        };
        let sealer = spawn("background", &data_dir, move || {
            let _watch = PoisonOnPanic(other.poison.clone(), "background thread");
            background::work(&other, &tasks, &folder, strand);
        })?;
        let poison = shared.poison.clone();
        let writer = spawn("writer", &data_dir, move || {
            let _watch = PoisonOnPanic(poison, "writer");
            writer.work();
        })?;
        let threads = Arc::new(Mutex::new(vec![writer, sealer]));
        Ok(Self { shared, threads })
    }

    /// Appends records: all that can be, in one commit. Answers when it is durable, in order.
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

    /// Asks whether a data folder is there and no process has it open.
    fn check_unused(data_dir: &Path) -> Result<(), OpenError> {
        lock::Lock::look(data_dir)
    }

    /// The strand's id.
    pub fn strand_id(&self) -> Uuid {
        self.shared.strand
    }

    /// The newest block.
    pub fn head(&self) -> Head {
        self.shared.head()
    }

    /// Changes whenever blocks are appended.
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    /// Records of each type ever appended, pruned ones too, in the order of [`RecordType::ALL`].
    pub fn counts(&self) -> [u64; RECORD_TYPES] {
        self.shared.memory().counts()
    }

    /// What was set aside and waits for somebody to look at it.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.shared.quarantine.list()
    }

    /// What the store occupies.
    pub fn footprint(&self) -> Footprint {
        let memory = self.shared.memory();
        Footprint {
            segments: memory.segments().len(),
            segment_bytes: memory
                .segments()
                .iter()
                .map(|segment| segment.file_len)
                .sum(),
            tail_blocks: memory.tail_blocks(),
            tail_bytes: memory.tail_bytes(),
        }
    }

    /// Waits until the store is poisoned and tells why.
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
            if thread.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        }
    }
}

/// What lies in a data folder's quarantine.
pub fn quarantined_in(data_dir: &Path) -> Vec<Quarantined> {
    quarantine::Quarantine::of(data_dir).list()
}

impl Shared {
    fn head(&self) -> Head {
        *self.head.borrow()
    }

    fn marks(&self) -> MutexGuard<'_, [Mark; RECORD_TYPES]> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retention(&self) -> MutexGuard<'_, RetentionStatus> {
        self.retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(
    name: &str,
    data_dir: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(quarantine::failed("start the threads of", data_dir))
}
