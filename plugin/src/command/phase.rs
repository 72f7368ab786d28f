//! `phase`: which phase is in force and what the next one waits for; asks for another one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use boboyka_crds::{BoboykaIntegration, Phase};
use clap::ValueEnum;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::connection::limit;
use crate::ending::Ending;
use crate::fleet::{Integration, standings};
use crate::reading::Reader;
use crate::step::Step;
use crate::terminal::Terminal;

/// Between two looks while waiting.
const LOOK: Duration = Duration::from_millis(500);

/// A phase, as the command line spells it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PhaseName {
    #[value(name = "DualWrite", aliases = ["dual-write", "dualwrite"])]
    DualWrite,
    #[value(name = "MigrateInternals", aliases = ["migrate-internals", "migrateinternals"])]
    MigrateInternals,
    #[value(name = "CutOver", aliases = ["cut-over", "cutover"])]
    CutOver,
}

impl From<PhaseName> for Phase {
    fn from(name: PhaseName) -> Self {
        match name {
            PhaseName::DualWrite => Self::DualWrite,
            PhaseName::MigrateInternals => Self::MigrateInternals,
            PhaseName::CutOver => Self::CutOver,
        }
    }
}

/// Which integration, and which phase.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PhaseOptions {
    /// Name of the integration. Default: the only one in the namespace.
    integration: Option<String>,
    /// Asks for this phase, by a change of `spec.phase`.
    #[arg(long, value_enum, value_name = "PHASE")]
    to: Option<PhaseName>,
    /// Has the API server check the change and says what would happen. Nothing changes.
    #[arg(long, requires = "to")]
    dry_run: bool,
    /// Waits until the phase that is asked for is in force, and says what it waits for.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = limit, requires = "wait")]
    timeout: Duration,
}

/// Shows the phase, or asks for one.
pub(crate) async fn phase(
    reader: &Reader,
    terminal: &Terminal,
    options: &PhaseOptions,
) -> Result<Ending> {
    let mut found = one_integration(reader, options.integration.as_deref()).await?;
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    if let Some(to) = options.to.map(Phase::from) {
        let change = json!({"spec": {"phase": to}});
        let changed = reader
            .merge(&namespace, &name, &change, options.dry_run)
            .await?;
        if options.dry_run {
            let step = step(reader, &found, Some(to)).await?;
            terminal.show(&step, |width| step.plan(width))?;
            return Ok(Ending::Well);
        }
        found = changed;
    }
    if options.wait {
        found = wait(reader, found, options.timeout).await?;
    }
    let step = step(reader, &found, None).await?;
    terminal.show(&step, |width| step.text(Timestamp::now(), width))?;
    Ok(Ending::found(!step.is_there()))
}

/// The integration of this name, or the only one.
pub(crate) async fn one_integration(
    reader: &Reader,
    name: Option<&str>,
) -> Result<BoboykaIntegration> {
    let namespace = reader.one_namespace()?;
    if let Some(name) = name {
        return Ok(reader.get(namespace, name).await?);
    }
    let mut all: Vec<BoboykaIntegration> = reader.list().await?;
    match (all.len(), all.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) | (_, None) => bail!("there is no BoboykaIntegration in namespace {namespace}"),
        (_, Some(last)) => {
            let names: Vec<String> = all
                .iter()
                .chain([&last])
                .map(ResourceExt::name_any)
                .collect();
            bail!(
                "namespace {namespace} has several integrations; name one of {}",
                names.join(", ")
            )
        }
    }
}

async fn step(
    reader: &Reader,
    integration: &BoboykaIntegration,
    to: Option<Phase>,
) -> Result<Step> {
    let strands = reader.list().await?;
    let standings = standings(
        std::slice::from_ref(integration),
        &strands,
        Timestamp::now(),
    );
    Ok(Step::new(Integration::new(integration), to, standings))
}

/// Waits for the phase that is asked for; the integration as it is then, or when the time is over.
async fn wait(
    reader: &Reader,
    mut found: BoboykaIntegration,
    limit: Duration,
) -> Result<BoboykaIntegration> {
    let (begun, mut said) = (Instant::now(), String::new());
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    loop {
        let step = Step::new(Integration::new(&found), None, Vec::new());
        if step.is_there() || begun.elapsed() >= limit {
            return Ok(found);
        }
        let why = step.waits_for();
        if why != said {
            Terminal::tell(&format!("{} waits: {why}", step.integration.requested));
            said = why;
        }
        tokio::time::sleep(LOOK).await;
        found = reader.get(&namespace, &name).await?;
    }
}
