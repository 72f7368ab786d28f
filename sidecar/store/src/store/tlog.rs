//! The strand's transparency log: beginning it, signing, tiles and proofs. All of it blocks.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use boboyka_strand::{Hash, Seq};
use boboyka_tlog::tile::Entries;
use boboyka_tlog::{Bundle, Checkpoint, Note, SigningKey, Tile, TreeHash};
use tokio::sync::{oneshot, watch};

use super::handle::Store;
use super::verify::on_copy;
use crate::error::{OpenError, TlogError, WriteError, causes};
use crate::incarnation::{self, Compared, Incarnation, Next, Signed};
use crate::job::Job;
use crate::predecessors::Predecessor;
use crate::proving;
use crate::read::RecordName;
use crate::signing::{self, Published, Signer};

/// What signs checkpoints.
#[derive(Debug)]
pub enum TlogKey {
    /// The key in the data folder, which is made when it is missing.
    Own,
    /// This one; its name does not count, because the origin is the name.
    Given(SigningKey),
}

impl TlogKey {
    /// The key in a file, in the form of Go's tools: `PRIVATE+KEY+NAME+ID+BASE64`.
    ///
    /// # Errors
    /// The file can't be read, or holds no such key.
    pub fn read(path: &Path) -> Result<Self, TlogError> {
        signing::key_in(path).map(Self::Given)
    }
}

/// The proof that a record is in the transparency log.
#[derive(Debug)]
pub struct Proof {
    /// The record's block.
    pub seq: Seq,
    /// Its header is in `extra`.
    pub bundle: Bundle,
    /// Size of the tree of its checkpoint.
    pub size: u64,
}

/// How the transparency log stands.
#[derive(Debug)]
pub struct TlogStatus {
    /// The newest checkpoint; `None` until one is signed.
    pub published: Option<Arc<Published>>,
    /// Entries below this index, and tiles of level 0 over them, may be missing.
    pub minimum_index: u64,
    /// Why the tree can't be had.
    pub unavailable: Option<String>,
}

impl Store {
    /// The origin that the log has had so far; `None` before it begins for the first time.
    pub fn tlog_origin(&self) -> Option<String> {
        let signer = self.shared.signing.lock();
        let known = signer.incarnation.as_ref()?;
        Some(incarnation::origin(self.shared.strand, known.number))
    }

    /// Begins to sign checkpoints, or goes on. Where the strand does not hold what was signed, or `claim`, the UID of the
    /// volume's claim in a cluster, is another one than before, a new incarnation begins, and the strand records it. So it does
    /// where a witness shows a checkpoint of the log, one of `shown`, that the log's own key has signed and the strand does not
    /// hold: the disk alone can't tell that all of it went back.
    ///
    /// # Errors
    /// The key can't be had, the tree can't be had, or nothing can be written. Nothing is signed then.
    pub fn begin_tlog(
        &self,
        key: &TlogKey,
        claim: Option<&str>,
        shown: &[Note],
    ) -> Result<(), TlogError> {
        let shared = &self.shared;
        let key = &self.key(key)?;
        let mut signer = shared.signing.lock();
        let (last, text) = shared.signing.last().map_err(TlogError::File)?;
        let compared = self.compare(&last)?;
        let known = signer.incarnation.clone();
        let next = incarnation::next(shared.strand, known.as_ref(), &last, compared, claim);
        let (number, why) = match next {
            Next::First => {
                shared.signing.write_first(key)?;
                (1, None)
            }
            Next::GoOn(number) => (number, None),
            Next::Anew(number, why) => (number, Some(why)),
        };
        let claim = claim.map(str::to_owned);
        let claim = claim.or_else(|| known.as_ref().and_then(|known| known.claim.clone()));
        let wanted = Incarnation { number, claim };
        let last = match last {
            Signed::Checkpoint(last) => text.clone().map(|text| (last, text)),
            Signed::Nothing | Signed::Unreadable(_) => None,
        };
        if why.is_some() {
            let last = last.as_ref().map(|(last, _)| last);
            self.end_incarnation(number - 1, last)?;
        }
        if known.as_ref() != Some(&wanted) {
            self.note_incarnation(&wanted, text.as_deref(), why.as_deref())?;
        }
        shared.signing.begin(&mut signer, wanted, key, last)?;
        for shown in shown {
            if self.contradict(&mut signer, key, shown)? {
                return Ok(());
            }
        }
        self.sign(&signer, 0).map(drop)
    }

    /// A witness shows a checkpoint as one of this log. If the log's own key has signed it and the strand does not hold it, the
    /// log goes on as the next incarnation, which the strand records; whether it does. The word of a witness alone does
    /// nothing.
    ///
    /// # Errors
    /// The tree can't be had, or nothing can be written.
    pub fn contradict_tlog(&self, key: &TlogKey, shown: &Note) -> Result<bool, TlogError> {
        let key = &self.key(key)?;
        self.contradict(&mut self.shared.signing.lock(), key, shown)
    }

    fn contradict(
        &self,
        signer: &mut Signer,
        key: &SigningKey,
        shown: &Note,
    ) -> Result<bool, TlogError> {
        let shared = &self.shared;
        let Some(known) = signer.incarnation.clone() else {
            return Err(TlogError::NotBegun);
        };
        let origin = incarnation::origin(shared.strand, known.number);
        let named = key.named(&origin);
        let named = named.map_err(|error| TlogError::Key(error.to_string()))?;
        let keys = std::slice::from_ref(named.verifier());
        let seen = match Checkpoint::verify(shown, keys) {
            Ok((seen, _)) if seen.origin() == origin => seen,
            Ok(_) | Err(_) => return Ok(false),
        };
        let compared = self.compare(&Signed::Checkpoint(seen.clone()))?;
        let Some(why) = incarnation::contradicted(&seen, compared) else {
            return Ok(false);
        };
        let wanted = Incarnation {
            number: known.number + 1,
            ..known
        };
        self.end_incarnation(known.number, Some(&seen))?;
        self.note_incarnation(&wanted, Some(&shown.to_string()), Some(&why))?;
        shared.signing.begin(signer, wanted, key, None)?;
        self.sign(signer, 0).map(|_| true)
    }

    /// The incarnations that ended, oldest first, and what the strand holds of each.
    ///
    /// # Errors
    /// The tree can't be had.
    pub fn tlog_predecessors(&self) -> Result<Vec<Predecessor>, TlogError> {
        let ended = self.shared.signing.predecessors.read().into_iter();
        let known = ended.map(|checkpoint| {
            let held = self.compare(&Signed::Checkpoint(checkpoint.clone()))?;
            Ok(Predecessor { checkpoint, held })
        });
        known.collect()
    }

    /// Notes the last checkpoint of an incarnation that ends, and keeps what shows later that the strand holds it.
    pub(super) fn end_incarnation(
        &self,
        number: u64,
        last: Option<&Checkpoint>,
    ) -> Result<(), TlogError> {
        let origin = incarnation::origin(self.shared.strand, number);
        let unknown = || Checkpoint::new(origin.clone(), 0, TreeHash::EMPTY);
        let last = last.filter(|last| last.origin() == origin).cloned();
        let last = last.map_or_else(unknown, Ok);
        let last = last.map_err(|error| TlogError::Key(error.to_string()))?;
        self.pin_tlog_size(&format!("incarnation {number}"), last.size())?;
        let added = self.shared.signing.predecessors.add(&last);
        added.map_err(TlogError::Write)
    }

    /// A key of its own, made when it is missing, or the one that was given.
    fn key(&self, key: &TlogKey) -> Result<SigningKey, TlogError> {
        match key {
            TlogKey::Own => self.shared.signing.own_key(),
            TlogKey::Given(key) => {
                let same = key.named(key.verifier().name());
                same.map_err(|error| TlogError::Key(error.to_string()))
            }
        }
    }

    pub(super) fn note_incarnation(
        &self,
        wanted: &Incarnation,
        old: Option<&str>,
        why: Option<&str>,
    ) -> Result<(), TlogError> {
        let origin = incarnation::origin(self.shared.strand, wanted.number);
        let record = why.map(|why| {
            tracing::error!(
                origin,
                why,
                "the strand's transparency log goes on under the new origin {origin}: {why}"
            );
            incarnation::record(&origin, old, why)
        });
        let record = record
            .transpose()
            .map_err(|error| TlogError::Key(causes(&error)))?;
        let (reply, done) = oneshot::channel();
        self.shared.queue.push(Job::Incarnation {
            incarnation: wanted.clone(),
            record,
            reply,
        })?;
        Ok(done.blocking_recv().unwrap_or(Err(WriteError::Poisoned))?)
    }

    fn compare(&self, signed: &Signed) -> Result<Compared, TlogError> {
        let Signed::Checkpoint(last) = signed else {
            return Ok(Compared::Same);
        };
        match proving::root(&self.shared, last.size()) {
            Ok(root) if root == last.root() => Ok(Compared::Same),
            Err(TlogError::Absent { .. }) => Ok(Compared::Shorter),
            // Of what was pruned it can't be shown any more.
            Ok(_) | Err(TlogError::Pruned { .. }) => Ok(Compared::Other),
            Err(error) => Err(error),
        }
    }

    /// Signs what is durable, unless a checkpoint of at least `size` entries is published. Answers when nobody can unsee it.
    ///
    /// # Errors
    /// The transparency log has not begun, is smaller than that, or the checkpoint can't be written.
    pub fn publish_checkpoint(&self, size: u64) -> Result<Arc<Published>, TlogError> {
        if let Some(newest) = self
            .checkpoint()
            .filter(|newest| size > 0 && newest.checkpoint.size() >= size)
        {
            return Ok(newest);
        }
        self.sign(&self.shared.signing.lock(), size)
    }

    fn sign(&self, signer: &Signer, size: u64) -> Result<Arc<Published>, TlogError> {
        let newest = self.checkpoint();
        if let Some(newest) = newest.filter(|newest| size > 0 && newest.checkpoint.size() >= size) {
            // The holder of the lock before has signed enough.
            return Ok(newest);
        }
        if self.shared.poison.is_set() {
            return Err(WriteError::Poisoned.into());
        }
        let (held, root) = {
            let state = self.shared.state();
            let tree = state.tree().ok_or_else(|| self.shared.no_tree())?;
            (tree.size(), tree.root())
        };
        if held < size {
            return Err(TlogError::Absent { size: held });
        }
        self.shared.signing.sign(signer, held, root)
    }

    /// The newest published checkpoint.
    pub fn checkpoint(&self) -> Option<Arc<Published>> {
        self.shared.signing.newest()
    }

    /// Changes whenever a checkpoint is published.
    pub fn watch_checkpoint(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.shared.signing.published()
    }

    /// How the transparency log stands.
    pub fn tlog_status(&self) -> TlogStatus {
        TlogStatus {
            published: self.checkpoint(),
            minimum_index: proving::minimum_index(&self.shared),
            unavailable: self.shared.tree_file.as_ref().err().cloned(),
        }
    }

    /// Keeps what a consistency proof from this size needs, whatever is pruned, until the name pins another size.
    ///
    /// # Errors
    /// The pin can't be written.
    pub fn pin_tlog_size(&self, name: &str, size: u64) -> Result<(), TlogError> {
        let mut pins = self
            .shared
            .pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pins.pin(name, size).map_err(TlogError::File)
    }

    /// The hashes of a tile of the durable tree.
    ///
    /// # Errors
    /// The tree has no such tile, or the blocks below it were pruned or can't be read.
    pub fn tlog_tile(&self, tile: Tile) -> Result<Vec<TreeHash>, TlogError> {
        proving::tile(&self.shared, tile)
    }

    /// The entries of a tile of level 0: each header behind its length in two bytes.
    ///
    /// # Errors
    /// The same as for a tile.
    pub fn tlog_entries(&self, entries: Entries) -> Result<Vec<u8>, TlogError> {
        proving::entries(&self.shared, entries)
    }

    /// The proof that the tree of one size begins with that of another.
    ///
    /// # Errors
    /// The tree is smaller, or what was pruned is needed for it.
    pub fn tlog_consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, TlogError> {
        proving::consistency(&self.shared, old, new)
    }

    /// The root of the tree of a size.
    ///
    /// # Errors
    /// The same as for a consistency proof.
    pub fn tlog_root(&self, size: u64) -> Result<TreeHash, TlogError> {
        proving::root(&self.shared, size)
    }

    /// The proof that a record is in the transparency log, under a published checkpoint; one is signed if need be.
    /// `None` when there is no such record.
    ///
    /// # Errors
    /// The record was pruned and its header is not kept, or no checkpoint can be signed.
    pub fn prove(&self, name: &RecordName) -> Result<Option<Proof>, TlogError> {
        let Some((seq, header)) = proving::header(&self.shared, name)? else {
            return Ok(None);
        };
        let published = self.publish_checkpoint(seq)?;
        let size = published.checkpoint.size();
        let bundle = proving::inclusion(&self.shared, seq, &header, size, &published.note)?;
        Ok(Some(Proof { seq, bundle, size }))
    }

    /// The same under a given checkpoint of this log, such as a cosigned one.
    ///
    /// # Errors
    /// The same, and [`TlogError::Unsigned`] when the checkpoint does not cover the record.
    pub fn prove_under(
        &self,
        name: &RecordName,
        size: u64,
        checkpoint: &Note,
    ) -> Result<Option<Proof>, TlogError> {
        let Some((seq, header)) = proving::header(&self.shared, name)? else {
            return Ok(None);
        };
        if size < seq {
            return Err(TlogError::Unsigned { seq, size });
        }
        let bundle = proving::inclusion(&self.shared, seq, &header, size, checkpoint)?;
        Ok(Some(Proof { seq, bundle, size }))
    }
}

/// The proof that a record of a strand that no process has open is in the transparency log, under the checkpoint that was
/// signed last. The data folder is only read. `None` when there is no such record.
///
/// # Errors
/// The strand can't be opened. Within, why the record can't be proven.
pub fn prove_offline(
    data_dir: &Path,
    hash: &Hash,
) -> Result<Result<Option<Proof>, TlogError>, OpenError> {
    on_copy(data_dir, |store, _| {
        let Some((seq, header)) = proving::header(&store.shared, &RecordName::Hash(*hash))? else {
            return Ok(None);
        };
        let published = store.shared.signing.last_seen()?;
        if published.checkpoint.size() < seq {
            return Err(TlogError::Unsigned {
                seq,
                size: published.checkpoint.size(),
            });
        }
        let size = published.checkpoint.size();
        let bundle = proving::inclusion(&store.shared, seq, &header, size, &published.note)?;
        Ok(Some(Proof { seq, bundle, size }))
    })
}

/// The root of the first `size` entries of a strand that no process has open. The data folder is only read.
///
/// # Errors
/// The strand can't be opened. Within, why the root can't be told: the strand is shorter, or pruned there.
pub fn root_offline(data_dir: &Path, size: u64) -> Result<Result<TreeHash, TlogError>, OpenError> {
    on_copy(data_dir, |store, _| store.tlog_root(size))
}
