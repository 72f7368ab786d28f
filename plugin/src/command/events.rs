//! `events`: the records of all strands as one list, and as they come.

mod follow;
mod options;

use std::collections::BTreeMap;

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use self::options::EventsOptions;
use crate::causes::causes;
use crate::ending::Ending;
use crate::reading::Reader;
use crate::record::{Record, newest};
use crate::sidecar::Sidecar;
use crate::target::{Target, targets};
use crate::terminal::Terminal;

/// How many sidecars are asked at a time.
const AT_A_TIME: usize = 8;

/// A page of one strand.
#[derive(Deserialize)]
struct Page {
    events: Vec<Map<String, Value>>,
    #[serde(default)]
    missing: Vec<Value>,
    head: PageHead,
}

#[derive(Deserialize)]
struct PageHead {
    seq: i64,
}

/// The answer for programs.
#[derive(Default, Serialize)]
struct Answer {
    records: Vec<Record>,
    /// What strands have lost or can't read, each with its strand.
    missing: Vec<Value>,
    /// The strands that could not be asked, with the reason.
    unread: BTreeMap<String, String>,
}

/// Lists records, and follows them.
pub(crate) async fn events(
    reader: &Reader,
    terminal: &Terminal,
    options: &EventsOptions,
) -> Result<Ending> {
    let targets = targets(&reader.list().await?, options.which())?;
    let pages = targets
        .iter()
        .map(|target| async move { (target, page(reader, target, options).await) });
    let pages: Vec<_> = stream::iter(pages).buffered(AT_A_TIME).collect().await;
    let (mut answer, mut heads) = (Answer::default(), BTreeMap::new());
    for (target, page) in pages {
        match page {
            Ok(page) => {
                heads.insert(target.strand.clone(), page.head.seq);
                answer.missing.extend(page.missing);
                answer
                    .records
                    .extend(page.events.into_iter().map(|told| Record::of(target, told)));
            }
            Err(error) => {
                answer
                    .unread
                    .insert(target.strand.clone(), causes(error.as_ref()));
            }
        }
    }
    answer.records = newest(answer.records, options.limit());
    let wide = targets
        .iter()
        .map(|one| one.namespace.len() + 1 + one.strand.len())
        .max()
        .unwrap_or(0);
    if !options.follows() {
        return show(terminal, &answer, wide);
    }
    for record in &answer.records {
        terminal.show_next(record, || record.line(wide))?;
    }
    follow::follow(reader, terminal, options, heads, wide).await
}

fn show(terminal: &Terminal, answer: &Answer, wide: usize) -> Result<Ending> {
    terminal.show(answer, |_| {
        let lines = answer.records.iter().map(|record| record.line(wide) + "\n");
        lines.collect::<String>()
    })?;
    for (strand, why) in &answer.unread {
        Terminal::tell(&format!("strand {strand} is not in the list: {why}"));
    }
    for missing in &answer.missing {
        Terminal::tell(&format!("a strand can't read a part of itself: {missing}"));
    }
    if !answer.unread.is_empty() {
        return Ok(Ending::Unanswered);
    }
    Ok(Ending::found(!answer.missing.is_empty()))
}

async fn page(reader: &Reader, target: &Target, options: &EventsOptions) -> Result<Page> {
    let pod = target
        .pod
        .as_ref()
        .map_err(|why| anyhow::anyhow!("{why}"))?;
    let mut sidecar = Sidecar::connect(reader, &target.namespace, pod).await?;
    // Only the head is wanted, but a page has at least one record.
    let limit = options.limit().max(1);
    let path = format!("/v1/boboyka/events?limit={limit}{}", options.query());
    sidecar.json("GET", &path).await
}
