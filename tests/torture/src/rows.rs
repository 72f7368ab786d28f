//! The rows of the table: what is done to a strand, how often, and what must come of it.

mod damage;
mod faults;
mod images;
mod kills;
mod others;
mod power;

use clap::ValueEnum;

use crate::torture::Torture;

/// What is done to a strand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Power cuts of recorded operations.
    Power,
    /// Kills before an operation.
    Kills,
    /// Failing syncs and writes, a full disk.
    Faults,
    /// Damage at rest.
    Damage,
    /// A wrong clock, two processes, slow syncs.
    Others,
    /// Real file systems.
    Images,
}

impl Torture<'_> {
    /// Runs every row of one kind, or of all.
    ///
    /// # Errors
    /// A recording or a state can't be made.
    pub async fn run(&mut self, only: Option<Kind>) -> anyhow::Result<()> {
        let kinds = Kind::value_variants().iter().copied();
        for kind in kinds.filter(|kind| only.is_none_or(|only| only == *kind)) {
            match kind {
                Kind::Power => self.power().await?,
                Kind::Kills => self.kills().await?,
                Kind::Faults => self.faults().await?,
                Kind::Damage => self.damage().await?,
                Kind::Others => self.others().await?,
                Kind::Images => self.images().await?,
            }
        }
        Ok(())
    }
}
