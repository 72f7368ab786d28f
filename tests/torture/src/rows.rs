//! The rows of the table: what is done to a strand, how often, and what must come of it.

mod damage;
mod faults;
mod images;
mod kills;
mod others;
mod power;

use crate::torture::Torture;

impl Torture<'_> {
    /// Runs every row.
    ///
    /// # Errors
    /// A recording or a state can't be made.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        self.power().await?;
        self.kills().await?;
        self.faults().await?;
        self.damage().await?;
        self.others().await?;
        self.images().await
    }
}
