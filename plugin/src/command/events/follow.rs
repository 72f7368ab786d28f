//! Records as they are appended: one stream for each strand, which begins again where it ended, also with another pod.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use super::options::EventsOptions;
use crate::causes::causes;
use crate::ending::Ending;
use crate::reading::Reader;
use crate::record::{Events, Record};
use crate::sidecar::Sidecar;
use crate::target::{Target, targets};
use crate::terminal::Terminal;

/// Between two looks for new strands, and for pods that hold strands whose streams have ended.
const LOOK: Duration = Duration::from_secs(2);
/// Records that wait to be printed; then the streams wait, and sidecars drop readers that are too slow.
const WAITING: usize = 256;

/// Prints records until it is interrupted. `heads` has the last `seq` of each strand that was listed; every record after it
/// is printed once.
pub(super) async fn follow(
    reader: &Reader,
    terminal: &Terminal,
    options: &EventsOptions,
    mut heads: BTreeMap<String, i64>,
    mut wide: usize,
) -> Result<Ending> {
    let (sender, mut records) = mpsc::channel(WAITING);
    let (mut streams, mut running, mut told) = (JoinSet::new(), HashSet::new(), BTreeMap::new());
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            Some(record) = receive(&mut records) => {
                wide = wide.max(record.namespace.len() + 1 + record.strand.len());
                heads.insert(record.strand.clone(), record.seq());
                terminal.show_next(&record, || record.line(wide))?;
            }
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                let (strand, why): (String, anyhow::Error) = ended?;
                running.remove(&strand);
                tell(&mut told, &strand, &causes(why.as_ref()));
            }
            _ = look.tick() => {
                // What can't be listed now may be listed again soon.
                let Ok(strands) = reader.list().await else { continue };
                for target in targets(&strands, options.which())? {
                    if target.pod.is_ok() && running.insert(target.strand.clone()) {
                        let after = heads.get(&target.strand).copied().unwrap_or(0);
                        let path = format!("/v1/boboyka/stream?after={after}{}", options.query());
                        streams.spawn(stream(reader.clone(), target, path, sender.clone()));
                    }
                }
            }
        }
    }
}

async fn receive(records: &mut Receiver<Record>) -> Option<Record> {
    records.recv().await
}

/// Says once why the stream of a strand ended, not at each attempt.
fn tell(told: &mut BTreeMap<String, String>, strand: &str, why: &str) {
    if told.insert(strand.to_owned(), why.to_owned()).as_deref() != Some(why) {
        Terminal::tell(&format!("strand {strand}: {why}; trying again"));
    }
}

/// Sends the records of one strand until the stream ends; the strand, and why it ended.
async fn stream(
    reader: Reader,
    target: Target,
    path: String,
    sender: Sender<Record>,
) -> (String, anyhow::Error) {
    let ended = read(&reader, &target, &path, &sender).await;
    let why = ended
        .err()
        .unwrap_or_else(|| anyhow::anyhow!("the stream ended"));
    (target.strand, why)
}

async fn read(reader: &Reader, target: &Target, path: &str, sender: &Sender<Record>) -> Result<()> {
    let pod = target
        .pod
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    let mut sidecar = Sidecar::connect(reader, &target.namespace, pod).await?;
    let mut lines = sidecar.lines(path).await?;
    let mut events = Events::default();
    while let Some(line) = lines.next().await? {
        let Some(sent) = events.line(&line) else {
            continue;
        };
        match &*sent.event {
            "record" => {
                let told = serde_json::from_str(&sent.data)
                    .context("a record of the stream can't be read")?;
                sender.send(Record::of(target, told)).await?;
            }
            "end" => bail!("the sidecar ended the stream: {}", sent.data),
            _ => Terminal::tell(&format!(
                "strand {}: records are missing: {}",
                target.strand, sent.data
            )),
        }
    }
    Ok(())
}
