//! `dead-letters`: what Supabase rejected, the records themselves, and sending them again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use boboyka_crds::RECORD_TYPES;
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use futures_util::{StreamExt as _, stream};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::causes::causes;
use crate::ending::Ending;
use crate::reading::Reader;
use crate::rejected::{DeadLetter, Mirror, of_strand, text, why};
use crate::sidecar::Sidecar;
use crate::target::{Target, Which, targets};
use crate::terminal::Terminal;

/// How many sidecars are asked at a time.
const AT_A_TIME: usize = 8;

/// What to do with dead letters.
#[derive(clap::Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DeadLettersOptions {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Lists them: the oldest hundred of each lane. This is what happens without a subcommand.
    List(Which),
    /// Shows one record beside Supabase's answer.
    Show {
        /// Name of the strand.
        strand: String,
        /// Position of the record in the strand.
        seq: i64,
    },
    /// Wakes the lanes and sends the dead letters again.
    Retry {
        #[command(flatten)]
        which: Which,
        /// Only the lane of this record type.
        #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(RECORD_TYPES))]
        lane: Option<String>,
    },
}

/// Lists, shows or sends again.
pub(crate) async fn dead_letters(
    reader: &Reader,
    terminal: &Terminal,
    options: &DeadLettersOptions,
) -> Result<Ending> {
    match &options.what {
        None => list(reader, terminal, &options.which).await,
        Some(What::List(which)) => list(reader, terminal, which).await,
        Some(What::Show { strand, seq }) => show(reader, terminal, strand, *seq).await,
        Some(What::Retry { which, lane }) => retry(reader, terminal, which, lane.as_deref()).await,
    }
}

/// The strands that could not be asked, with the reason.
type Unread = BTreeMap<String, String>;

async fn list(reader: &Reader, terminal: &Terminal, which: &Which) -> Result<Ending> {
    let targets = targets(&reader.list().await?, which)?;
    let asked = targets
        .iter()
        .map(|target| async move { (target, letters(reader, target).await) });
    let asked: Vec<_> = stream::iter(asked).buffered(AT_A_TIME).collect().await;
    let (mut all, mut unread) = (Vec::new(), Unread::new());
    for (target, letters) in asked {
        match letters {
            Ok(letters) => all.extend(letters),
            Err(error) => note(&mut unread, target, &error),
        }
    }
    terminal.show(&json!({"deadLetters": all, "unread": unread}), |width| {
        text(&all, Timestamp::now(), width)
    })?;
    Ok(ending(&unread, !all.is_empty()))
}

fn note(unread: &mut Unread, target: &Target, error: &anyhow::Error) {
    unread.insert(target.strand.clone(), causes(error.as_ref()));
}

/// Tells of strands that could not be asked.
fn ending(unread: &Unread, is_found: bool) -> Ending {
    for (strand, why) in unread {
        Terminal::tell(&format!("strand {strand} was not asked: {why}"));
    }
    if unread.is_empty() {
        Ending::found(is_found)
    } else {
        Ending::Unanswered
    }
}

async fn connect(reader: &Reader, target: &Target) -> Result<Sidecar> {
    let pod = target
        .pod
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    Sidecar::connect(reader, &target.namespace, pod).await
}

async fn letters(reader: &Reader, target: &Target) -> Result<Vec<DeadLetter>> {
    let mirror: Mirror = connect(reader, target)
        .await?
        .json("GET", "/v1/boboyka/mirror")
        .await?;
    Ok(of_strand(&target.namespace, &target.strand, mirror))
}

async fn show(reader: &Reader, terminal: &Terminal, strand: &str, seq: i64) -> Result<Ending> {
    let which = Which {
        strands: vec![strand.to_owned()],
        ..Which::default()
    };
    let targets = targets(&reader.list().await?, &which)?;
    let target = targets.first().context("the strand was named")?;
    let letters = letters(reader, target).await?;
    let Some(letter) = letters.into_iter().find(|one| one.told.seq == seq) else {
        bail!(
            "record {seq} of strand {strand} is not among the oldest hundred dead letters of its lane"
        );
    };
    let mut sidecar = connect(reader, target).await?;
    let record: Value = sidecar
        .json("GET", &format!("/v1/boboyka/records/{seq}"))
        .await?;
    terminal.show(&json!({"deadLetter": letter, "record": record}), |_| {
        let record = serde_json::to_string_pretty(&record).unwrap_or_default();
        format!("Supabase rejected it: {}\n{record}\n", why(&letter.told))
    })?;
    Ok(Ending::Found)
}

/// What sending again came to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Again {
    retried: u64,
    mirrored: u64,
    dead_lettered: u64,
}

async fn retry(
    reader: &Reader,
    terminal: &Terminal,
    which: &Which,
    lane: Option<&str>,
) -> Result<Ending> {
    let targets = targets(&reader.list().await?, which)?;
    let (mut sum, mut unread) = (Again::default(), Unread::new());
    for target in &targets {
        match again(reader, target, lane).await {
            Ok(one) => {
                sum.retried += one.retried;
                sum.mirrored += one.mirrored;
                sum.dead_lettered += one.dead_lettered;
            }
            Err(error) => note(&mut unread, target, &error),
        }
    }
    terminal.show(&json!({"sent": sum, "unread": unread}), |_| {
        format!(
            "{} sent again: {} mirrored, {} rejected again\n",
            sum.retried, sum.mirrored, sum.dead_lettered
        )
    })?;
    Ok(ending(&unread, sum.dead_lettered > 0))
}

async fn again(reader: &Reader, target: &Target, lane: Option<&str>) -> Result<Again> {
    let lane = lane.map(|lane| format!("?lane={lane}")).unwrap_or_default();
    connect(reader, target)
        .await?
        .json("POST", &format!("/v1/boboyka/mirror/retry{lane}"))
        .await
}
