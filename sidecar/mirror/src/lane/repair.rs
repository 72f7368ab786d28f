//! Rows that differ from the strand, sent again because somebody asked for it. The lane does it, because
//! nobody else writes its table. In a table of records a missing row is inserted again; in a table of
//! states the row of a key gets what all records of the key say. Nothing is deleted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boboyka_store::{ReadError, Store, View};
use boboyka_strand::{Block, RecordType, Seq};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::deliver::Delivered;
use super::doubt::Doubt;
use super::task::Lane;
use super::turn::LoadError;
use super::work::Work;
use crate::disposition::Disposition;
use crate::parity::{Difference, DifferenceKind};
use crate::preflight::Shape;
use crate::repair::{Repair, RepairReport};
use crate::request::{Key, key_of};
use crate::row::{Batch, RowMeta};
use crate::supabase::{Conflict, Target};
use crate::table::{Layout, Mode};

/// Longer a repair does not keep the lane from new records; the next one goes on.
const REPAIR_MAX: Duration = Duration::from_secs(20);

/// Records read and sent at a time.
const PAGE_ROWS: usize = 100;

/// The same in bytes of their payloads, while all records of a lane are read.
const PAGE_MAX_BYTES: usize = 384 * 1024;

/// Keys mended at a time: what their records say is in memory together.
const KEYS: usize = 100;

/// What all records of a key say, column by column, and the newest of them.
type State = (Seq, BTreeMap<String, Box<RawValue>>);

impl Lane {
    /// Sends what differs again, as far as that mends it.
    pub(super) async fn repair(&mut self, repair: Repair) {
        let mut report = RepairReport {
            found: repair.differences.len() as u64,
            ..RepairReport::default()
        };
        if let Err(reason) = self.mend(&repair.differences, &mut report).await {
            report.reason = Some(reason);
        }
        self.show();
        // The caller may have gone.
        let _ = repair.reply.send(report);
    }

    async fn mend(
        &mut self,
        differences: &[Difference],
        report: &mut RepairReport,
    ) -> Result<(), String> {
        if self.store.view().phase.is_none() {
            return Err("the phase of the integration is not known yet".to_owned());
        }
        self.hurry();
        if !self.look_at_table().await {
            let reason = self.pause.as_ref().map(|pause| pause.reason.to_string());
            return Err(reason.unwrap_or_else(|| "supabase is not configured".to_owned()));
        }
        let shape = self.shape.clone().unwrap_or_default();
        let mends = |kind| match kind {
            DifferenceKind::Missing => true,
            DifferenceKind::Changed => shape.mode == Mode::Latest,
            DifferenceKind::Extra | DifferenceKind::Doubled => false,
        };
        let all = differences.iter();
        let seqs: Vec<Seq> = all.filter(|it| mends(it.kind)).map(|it| it.seq).collect();
        report.beyond_repair = (differences.len() - seqs.len()) as u64;
        let deadline = Instant::now() + REPAIR_MAX;
        for seqs in seqs.chunks(match shape.mode {
            Mode::Append => PAGE_ROWS,
            Mode::Latest => KEYS,
        }) {
            if Instant::now() >= deadline || self.shutdown.is_cancelled() {
                return Err("there was no time for all of it: repair again".to_owned());
            }
            let batch = self.rows_of(seqs.to_vec()).await?;
            match shape.mode {
                Mode::Append => self.insert_again(batch, report).await?,
                Mode::Latest => self.restate(&batch, &shape, report).await?,
            }
        }
        Ok(())
    }

    async fn rows_of(&self, seqs: Vec<Seq>) -> Result<Batch, String> {
        let (store, layout) = (self.store.clone(), Arc::clone(&self.layout));
        read(move || {
            let blocks = blocks(&store, &seqs)?;
            Ok(Batch::render(&layout, store.strand_id(), &blocks)?)
        })
        .await
    }

    /// Inserts the rows that are still missing.
    async fn insert_again(
        &mut self,
        batch: Batch,
        report: &mut RepairReport,
    ) -> Result<(), String> {
        let rows: Vec<(usize, RowMeta)> = batch.rows().iter().copied().enumerate().collect();
        let missing = match self.ask_for(&rows).await {
            Some(missing) => missing.map_err(|failure| failure.message)?,
            None => return Err(INTERRUPTED.to_owned()),
        };
        let missing: HashSet<Seq> = missing
            .iter()
            .filter_map(|at| Some(batch.row(*at)?.seq))
            .collect();
        let mut seqs: Vec<Seq> = missing.into_iter().collect();
        seqs.sort_unstable();
        let mut work = Work::new(self.rows_of(seqs).await?, 0);
        while !work.is_done() {
            self.send_part(&mut work, report).await?;
        }
        Ok(())
    }

    async fn send_part(
        &mut self,
        work: &mut Work,
        report: &mut RepairReport,
    ) -> Result<(), String> {
        let part = work.next(&self.limit);
        let delivered = self.deliver(work, &part).await;
        let (failure, body_len) = match delivered.ok_or_else(|| INTERRUPTED.to_owned())? {
            Delivered::Kept { lost } if lost.is_empty() => {
                self.trust_again();
                self.counters.count_rows(part.len());
                report.sent += part.len() as u64;
                work.settle(&part);
                return Ok(());
            }
            Delivered::Kept { .. } | Delivered::Unclear => (crate::failure::Failure::not_kept(), 0),
            Delivered::Failed { failure, body_len } => (failure, body_len),
        };
        match self.patience.disposition(&failure, part.len(), body_len) {
            Disposition::Split | Disposition::Ask | Disposition::Shrink if part.len() > 1 => {
                work.split(&part);
                Ok(())
            }
            // The row is refused, and the others are not for that.
            Disposition::Refuse | Disposition::Ask | Disposition::Accept => {
                self.patience.settled();
                report.reason = Some(failure.message);
                work.settle(&part);
                Ok(())
            }
            Disposition::Split
            | Disposition::Shrink
            | Disposition::BackOff
            | Disposition::Slow
            | Disposition::PauseSchema => {
                self.stand_back(&failure);
                Err(failure.message)
            }
        }
    }

    /// Gives the rows of some records' keys what all their records say.
    async fn restate(
        &mut self,
        batch: &Batch,
        shape: &Shape,
        report: &mut RepairReport,
    ) -> Result<(), String> {
        let keys: HashSet<Key> = (0..batch.rows().len())
            .filter_map(|at| key_of(batch.json(at), &shape.key))
            .collect();
        let (store, layout) = (self.store.clone(), Arc::clone(&self.layout));
        let (lane, key) = (self.record_type, shape.key.clone());
        let states = read(move || states(&store, lane, &layout, &key, &keys)).await?;
        for (seq, members) in states {
            let columns: Vec<Arc<str>> = shape
                .columns
                .iter()
                .filter(|column| members.contains_key(&***column))
                .cloned()
                .collect();
            self.upsert(shape, seq, &columns, body(&members, &columns))
                .await?;
            report.sent += 1;
        }
        Ok(())
    }

    async fn upsert(
        &mut self,
        shape: &Shape,
        seq: Seq,
        columns: &[Arc<str>],
        body: Bytes,
    ) -> Result<(), String> {
        let supabase = self
            .supabase
            .clone()
            .ok_or_else(|| INTERRUPTED.to_owned())?;
        let (table, sent) = (self.table(), Instant::now());
        let target = Target {
            table: &table,
            columns,
            conflict: Conflict::Merge(&shape.key),
        };
        let answer = self.call(supabase.insert(target, body)).await;
        let unclear = answer
            .as_ref()
            .is_none_or(|answer| answer.as_ref().is_err_and(|failure| failure.ambiguous));
        if unclear && !shape.guarded {
            // What was sent may be carried out later, and must not take the row back in time.
            self.doubt = Some(Doubt::of(self.doubt, seq, sent));
        }
        match answer {
            Some(Ok(_)) => {
                self.trust_again();
                self.counters.count_rows(1);
                Ok(())
            }
            Some(Err(failure)) => {
                self.stand_back(&failure);
                Err(failure.message)
            }
            None => Err(INTERRUPTED.to_owned()),
        }
    }
}

const INTERRUPTED: &str = "the sidecar ends, or its credentials have changed";

async fn read<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, String> {
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(LoadError::from).and_then(|read| read);
    read.map_err(|error| boboyka_store::causes(&error))
}

fn blocks(store: &Store, seqs: &[Seq]) -> Result<Vec<Block>, ReadError> {
    let mut blocks = Vec::with_capacity(seqs.len());
    for seq in seqs {
        match store.block(*seq) {
            Ok(block) => blocks.extend(block.filter(|block| !block.is_gone())),
            Err(ReadError::Lost { .. } | ReadError::Pruned { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(blocks)
}

/// Up to where the table has what the lane sent.
fn settled(view: &View, lane: RecordType) -> Seq {
    if view.backlog(lane) == 0 {
        view.mirrored_end(lane)
    } else {
        view.marks[lane].seq
    }
}

/// What the records of some keys say that the table should have: of each column the newest value.
fn states(
    store: &Store,
    lane: RecordType,
    layout: &Layout,
    key: &[Arc<str>],
    wanted: &HashSet<Key>,
) -> Result<Vec<State>, LoadError> {
    let view = store.view();
    let (end, mut after) = (settled(&view, lane), view.floor.head.seq);
    let mut states: HashMap<Key, State> = HashMap::new();
    while after < end {
        let page = store.read_lane(lane, after, PAGE_ROWS, PAGE_MAX_BYTES)?;
        if !page.gone.is_empty() {
            // Records without their payload may be newer ones of any key: what is older may not be its state.
            states.clear();
        }
        let batch = Batch::render(layout, store.strand_id(), &page.blocks)?;
        for (at, row) in batch
            .rows()
            .iter()
            .enumerate()
            .filter(|(_, row)| row.seq <= end)
        {
            let Some(key) = key_of(batch.json(at), key).filter(|key| wanted.contains(key)) else {
                continue;
            };
            if view.marks[lane].dead_lettered > 0 && store.dead_letter(lane, row.seq)?.is_some() {
                continue;
            }
            // The rows are rendered here, so they can be read.
            let members: BTreeMap<String, Box<RawValue>> =
                serde_json::from_slice(batch.json(at)).unwrap_or_default();
            let (seq, known) = states.entry(key).or_default();
            *seq = row.seq;
            known.extend(members);
        }
        if page.scanned_to <= after {
            break;
        }
        after = page.scanned_to;
    }
    let mut states: Vec<State> = states.into_values().collect();
    states.sort_by_key(|(seq, _)| *seq);
    Ok(states)
}

fn body(members: &BTreeMap<String, Box<RawValue>>, columns: &[Arc<str>]) -> Bytes {
    let values = columns.iter().filter_map(|column| {
        let value = members.get(&**column)?;
        Some(format!("\"{column}\":{}", value.get()))
    });
    format!("[{{{}}}]", values.collect::<Vec<_>>().join(",")).into()
}
