//! `verify`: has every sidecar compute the hashes of its chain again, and sums up in one verdict.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use crate::causes::causes;
use crate::ending::Ending;
use crate::proof::{Computed, Head, Progress, Proof, Proofs};
use crate::reading::Reader;
use crate::sidecar::Sidecar;
use crate::target::{Target, Which, targets};
use crate::terminal::Terminal;

/// How many sidecars compute at a time.
const AT_A_TIME: usize = 4;

/// A line of the answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Progress { progress: Progress },
    End(Computed),
}

/// How far all checks have come.
#[derive(Default)]
struct Board(Mutex<BTreeMap<String, Progress>>);

impl Board {
    fn note(&self, strand: &str, progress: Progress) {
        let Ok(mut all) = self.0.lock() else { return };
        all.insert(strand.to_owned(), progress);
        let sum = |of: fn(&Progress) -> u64| all.values().map(of).sum::<u64>();
        let (verified, total) = (sum(|one| one.verified), sum(|one| one.total));
        Terminal::progress(&format!(
            "{} strands: {verified} of {total} records",
            all.len()
        ));
    }
}

/// Checks all chains that are meant.
pub(crate) async fn verify(reader: &Reader, terminal: &Terminal, which: &Which) -> Result<Ending> {
    let targets = targets(&reader.list().await?, which)?;
    let board = Board::default();
    let checks = targets.iter().map(|target| check(reader, target, &board));
    let proofs: Vec<Proof> = stream::iter(checks).buffered(AT_A_TIME).collect().await;
    Terminal::progress("");
    let proofs = Proofs::new(proofs);
    terminal.show(&proofs, |width| proofs.text(width))?;
    Ok(proofs.ending())
}

async fn check(reader: &Reader, target: &Target, board: &Board) -> Proof {
    let unchecked = |why: String| Proof::unchecked(&target.namespace, &target.strand, why);
    match &target.pod {
        Err(why) => unchecked((*why).to_owned()),
        Ok(pod) => match ask(reader, target, pod, board).await {
            Ok(proof) => proof,
            Err(error) => unchecked(causes(error.as_ref())),
        },
    }
}

async fn ask(reader: &Reader, target: &Target, pod: &str, board: &Board) -> Result<Proof> {
    let result = computed(reader, target, pod, board).await?;
    let recorded = target.recorded.as_ref().map(|head| Head {
        seq: head.seq,
        hash: head.hash.clone(),
    });
    // A pruned record can't be compared; the chain above it was checked.
    let floor = result.floor.seq;
    let recorded = recorded.filter(|head| head.seq > floor);
    let held = match &recorded {
        Some(head) => Some((head, hash_at(reader, target, pod, head.seq).await?)),
        None => None,
    };
    Ok(Proof::of(&target.namespace, &target.strand, result, held))
}

async fn computed(reader: &Reader, target: &Target, pod: &str, board: &Board) -> Result<Computed> {
    let mut sidecar = Sidecar::connect(reader, &target.namespace, pod).await?;
    let mut lines = sidecar.lines("/v1/boboyka/verify").await?;
    while let Some(line) = lines.next().await? {
        match serde_json::from_str(&line)
            .with_context(|| format!("the sidecar of pod {pod} answers {line:?}"))?
        {
            Line::Progress { progress } => board.note(&target.strand, progress),
            Line::End(result) => return Ok(result),
        }
    }
    anyhow::bail!("the sidecar of pod {pod} ended before its result")
}

/// The hash of the record at a place; `None` if there is none.
async fn hash_at(reader: &Reader, target: &Target, pod: &str, seq: i64) -> Result<Option<String>> {
    let mut sidecar = Sidecar::connect(reader, &target.namespace, pod).await?;
    let record: Result<Value> = sidecar
        .json("GET", &format!("/v1/boboyka/records/{seq}"))
        .await;
    match record {
        Ok(record) => {
            let hash = record.get("record_hash").and_then(Value::as_str);
            Ok(hash.map(str::to_owned))
        }
        Err(error) if error.to_string().contains("not_found") => Ok(None),
        Err(error) => Err(error),
    }
}
