//! `repair`: compares Supabase's tables with the strands, and sends again what differs.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use crate::causes::causes;
use crate::ending::Ending;
use crate::parity::{Compared, Repaired, Row, text};
use crate::reading::Reader;
use crate::sidecar::Sidecar;
use crate::target::{Target, Which, targets};
use crate::terminal::Terminal;

/// Which strands, and whether anything is sent.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RepairOptions {
    #[command(flatten)]
    which: Which,
    /// Compares and sends nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Compares, and repairs.
pub(crate) async fn repair(
    reader: &Reader,
    terminal: &Terminal,
    options: &RepairOptions,
) -> Result<Ending> {
    let targets = targets(&reader.list().await?, &options.which)?;
    let (mut rows, mut sum, mut unread) = (Vec::new(), Repaired::default(), BTreeMap::new());
    for target in &targets {
        let answered = if options.dry_run {
            compared(reader, target)
                .await
                .map(|found| rows.extend(found))
        } else {
            repaired(reader, target).await.map(|one| sum.add(one))
        };
        if let Err(error) = answered {
            Terminal::tell(&format!(
                "strand {} was not asked: {}",
                target.strand,
                causes(error.as_ref())
            ));
            unread.insert(target.strand.clone(), causes(error.as_ref()));
        }
    }
    let is_open = if options.dry_run {
        terminal.show(&json!({"lanes": rows, "unread": unread}), |width| {
            text(&rows, width)
        })?;
        rows.iter().any(Row::differs)
    } else {
        terminal.show(&json!({"repaired": sum, "unread": unread}), |width| {
            sum.text(width)
        })?;
        sum.is_open()
    };
    Ok(if unread.is_empty() {
        Ending::found(is_open)
    } else {
        Ending::Unanswered
    })
}

async fn ask<T: serde::de::DeserializeOwned>(
    reader: &Reader,
    target: &Target,
    what: &str,
) -> Result<T> {
    let pod = target
        .pod
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    let mut sidecar = Sidecar::connect(reader, &target.namespace, pod).await?;
    sidecar
        .json("POST", &format!("/v1/boboyka/mirror/{what}"))
        .await
}

async fn compared(reader: &Reader, target: &Target) -> Result<Vec<Row>> {
    let compared: Compared = ask(reader, target, "check").await?;
    let row = |lane| Row {
        namespace: target.namespace.clone(),
        strand: target.strand.clone(),
        lane,
    };
    Ok(compared.lanes.into_iter().map(row).collect())
}

async fn repaired(reader: &Reader, target: &Target) -> Result<Repaired> {
    ask(reader, target, "repair").await
}
