//! A disk that fails: a sync, a write, or every write because it is full; then a new start on it, and a power cut.

use crate::model::Rules;
use crate::record::{Recording, Run};
use crate::table::Harm;
use crate::torture::Torture;

const WORK: &str = "singles:5 batch:350x60 singles:5 batch:350x60 sealed singles:5";
const AFTER: &str = "singles:20 kill";

/// Error numbers of Linux.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl Torture<'_> {
    pub(super) async fn faults(&mut self) -> anyhow::Result<()> {
        let plain = Recording::make(self.tools, "plain", &[Run::of(WORK)])?;
        let ops = plain.log.ops.iter();
        let syncs = ops
            .clone()
            .filter(|op| matches!(op, crate::log::Op::SyncBegin { .. }))
            .count();
        let writes = ops
            .filter(|op| matches!(op, crate::log::Op::Write { .. }))
            .count();
        let mut rng = self.rng("faults");
        for n in 0..self.size.faults {
            let (sync, write) = (rng.usize(1..=syncs), rng.usize(1..=writes));
            let broken = Run::of(WORK).with("TORTURE_FAIL_SYNC", sync);
            self.fault("a sync fails, a new start, a power cut", n, sync, broken)
                .await?;
            let broken = Run::of(WORK)
                .with("TORTURE_FAIL_WRITE", write)
                .with("TORTURE_FAIL_ERRNO", EIO);
            self.fault("a write fails, a new start, a power cut", n, write, broken)
                .await?;
            let full = Run::of(WORK)
                .with("TORTURE_FAIL_WRITE", write)
                .with("TORTURE_FAIL_ERRNO", ENOSPC)
                .with("TORTURE_FAIL_STICKY", 1);
            self.fault(
                "the disk is full from a write on, a new start, a power cut",
                n,
                write,
                full,
            )
            .await?;
        }
        Ok(())
    }

    async fn fault(&mut self, row: &str, n: usize, at: usize, broken: Run) -> anyhow::Result<()> {
        let name = format!("{} {at} {n}", row.split(',').next().unwrap_or(row));
        let after = Run::of(AFTER);
        let first = Recording::make(self.tools, &name, std::slice::from_ref(&broken))?
            .log
            .ops
            .len();
        let log = self.tools.path(&format!("{name}.log"));
        let root = self.tools.path(&name);
        if let Err(error) = crate::record::drive(self.tools, &root, Some(&log), &after) {
            self.not_made(row, Harm::None, &error);
        } else {
            let recording = Recording::read(&log, root.clone())?;
            // Behind the new start: what it built on must have been durable.
            let from = usize::midpoint(first, recording.log.ops.len());
            self.cuts(&recording, &name, Rules::Ext4, row, from, 2)
                .await;
        }
        std::fs::remove_dir_all(&root)?;
        Ok(std::fs::remove_file(&log)?)
    }
}
