//! `drain`: wakes the lanes, and waits until Supabase has every record.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use boboyka_crds::{BoboykaIntegration, BoboykaStrand};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::backlog::Backlog;
use crate::causes::causes;
use crate::connection::limit;
use crate::ending::Ending;
use crate::fleet::standings;
use crate::reading::Reader;
use crate::sidecar::Sidecar;
use crate::target::{Target, Which, targets};
use crate::terminal::Terminal;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Which strands, and how long.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DrainOptions {
    /// Names of the strands. Default: all.
    strands: Vec<String>,
    /// Only the strands of this integration.
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = limit)]
    timeout: Duration,
}

/// Drains.
pub(crate) async fn drain(
    reader: &Reader,
    terminal: &Terminal,
    options: &DrainOptions,
) -> Result<Ending> {
    let which = Which {
        integration: options.integration.clone(),
        strands: options.strands.clone(),
    };
    let (integrations, strands) = tokio::try_join!(reader.list(), reader.list())?;
    refuse_without_supabase(&integrations, &which)?;
    for target in targets(&strands, &which)? {
        wake(reader, &target).await;
    }
    let begun = Instant::now();
    loop {
        let backlog = look(reader, &which).await?;
        if backlog.is_drained() || begun.elapsed() >= options.timeout {
            Terminal::progress("");
            terminal.show(&backlog, |width| backlog.text(width))?;
            return Ok(Ending::found(!backlog.is_drained()));
        }
        Terminal::progress(&format!(
            "{} records wait in {} strands",
            backlog.records,
            backlog.waiting.len()
        ));
        tokio::time::sleep(LOOK).await;
    }
}

fn refuse_without_supabase(integrations: &[BoboykaIntegration], which: &Which) -> Result<()> {
    let is_meant = |one: &&BoboykaIntegration| {
        which.integration.is_none() || one.metadata.name == which.integration
    };
    if !integrations
        .iter()
        .filter(is_meant)
        .any(|one| one.spec.supabase.is_some())
    {
        bail!("no integration that is meant has spec.supabase: there is nothing to drain to");
    }
    Ok(())
}

/// Wakes the lanes of a strand, which may wait for their next attempt. Those that can't be woken go on by themselves.
async fn wake(reader: &Reader, target: &Target) {
    let Ok(pod) = &target.pod else { return };
    let woken: Result<Value> = async {
        let mut sidecar = Sidecar::connect(reader, &target.namespace, pod).await?;
        sidecar.json("POST", "/v1/boboyka/mirror/retry").await
    }
    .await;
    if let Err(error) = woken {
        Terminal::tell(&format!(
            "strand {} was not woken: {}",
            target.strand,
            causes(error.as_ref())
        ));
    }
}

async fn look(reader: &Reader, which: &Which) -> Result<Backlog> {
    let (integrations, strands) = tokio::try_join!(reader.list(), reader.list::<BoboykaStrand>())?;
    let meant = targets(&strands, which)?;
    let mut standings = standings(&integrations, &strands, Timestamp::now());
    standings.retain(|one| {
        meant
            .iter()
            .any(|target| target.strand == one.name && target.namespace == one.namespace)
    });
    Ok(Backlog::new(standings))
}
