//! `status`: the fleet at a glance.

use anyhow::Result;
use k8s_openapi::jiff::Timestamp;

use crate::ending::Ending;
use crate::fleet::Fleet;
use crate::fleet_text;
use crate::reading::Reader;
use crate::terminal::Terminal;

/// Shows the fleet.
pub(crate) async fn status(reader: &Reader, terminal: &Terminal) -> Result<Ending> {
    let (integrations, strands) = tokio::try_join!(reader.list(), reader.list())?;
    let now = Timestamp::now();
    let fleet = Fleet::new(&integrations, &strands, now);
    terminal.show(&fleet, |width| fleet_text::text(&fleet, now, width))?;
    Ok(Ending::found(fleet.is_wrong()))
}
