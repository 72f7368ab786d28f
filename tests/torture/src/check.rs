//! The check of one state: the real sidecar starts on it and is asked for everything that was promised.

mod signed;

use std::collections::BTreeMap;
use std::path::Path;

use boboyka_strand::Seq;

use crate::Tools;
use crate::drive::keyed_data;
use crate::record::Promise;
use crate::subject::Subject;

/// Of the acknowledged records, how many are asked for by their hash beside the walk.
const BY_HASH: usize = 12;

/// What became of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is there, and nothing is told that is not so.
    Whole,
    /// Something is lost, and told.
    ToldLoss(String),
    /// Something is lost, and nothing says so.
    SilentLoss(String),
    /// Nothing is lost, and something says so.
    FalseAlarm(String),
    /// It does not start, panics, or answers wrong.
    Wrong(String),
}

/// What the sidecar says of a strand.
struct Told {
    floor: Seq,
    /// What it calls damaged or lost.
    complaints: Vec<String>,
    held: BTreeMap<Seq, String>,
}

/// Starts the sidecar on a data folder and compares what it holds with what was promised.
pub async fn check(tools: &Tools, data: &Path, promise: &Promise) -> Outcome {
    let outcome = checked(tools, data, promise).await;
    outcome.unwrap_or_else(|wrong| Outcome::Wrong(brief(&wrong)))
}

async fn checked(tools: &Tools, data: &Path, promise: &Promise) -> Result<Outcome, String> {
    let mut subject = Subject::start(tools, data, |_| {})
        .await
        .map_err(|log| format!("the sidecar does not start: {log}"))?;
    let told = ask(&subject).await?;
    let outcome = compare(&subject, &told, promise).await?;
    let outcome = match signed::check(&subject, &promise.checkpoints).await? {
        Some(why) if outcome == Outcome::Whole => Outcome::FalseAlarm(why),
        _ => outcome,
    };
    let log = subject.process().log();
    if log.contains("panicked") {
        return Err(format!("a panic: {log}"));
    }
    if matches!(outcome, Outcome::SilentLoss(_)) {
        return Ok(outcome);
    }
    // What comes next goes above everything that was acknowledged, and is there after a kill.
    let (status, receipt) = subject.ingest(0).await?;
    let newest = promise.acked.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
    let seq = receipt["seq"].as_u64().unwrap_or_default();
    if status != 200 || seq <= newest {
        return Err(format!(
            "after seq {newest}, an ingest gets {status}: {receipt}"
        ));
    }
    subject.process().kill();
    let again = Subject::start(tools, data, |_| {})
        .await
        .map_err(|log| format!("the sidecar does not start a second time: {log}"))?;
    let after = ask(&again).await?;
    if after.held.get(&seq).map(String::as_str) != receipt["record_hash"].as_str() {
        return Err(format!("the record {seq} of the second life is gone"));
    }
    if let Some((seq, _)) = told
        .held
        .iter()
        .find(|(seq, hash)| after.held.get(seq) != Some(hash))
    {
        return Err(format!("the record {seq} is gone after the second start"));
    }
    if outcome == Outcome::Whole && !after.complaints.is_empty() {
        let complaint = format!("after the second start: {}", after.complaints.join("; "));
        return Ok(Outcome::FalseAlarm(brief(&complaint)));
    }
    Ok(outcome)
}

async fn ask(subject: &Subject) -> Result<Told, String> {
    let (_, status) = subject.get("/v1/boboyka/status").await?;
    let (code, verdict) = subject.get("/v1/boboyka/verify").await?;
    let (held, missing) = subject.walk().await?;
    let mut complaints: Vec<String> = missing.iter().map(|one| format!("missing {one}")).collect();
    let quarantined = status["strand"]["quarantined"]
        .as_array()
        .into_iter()
        .flatten();
    complaints.extend(quarantined.map(|one| format!("quarantined {one}")));
    if code != 200 || verdict["ok"] != true {
        complaints.push(format!("verify says {verdict}"));
    }
    Ok(Told {
        floor: status["strand"]["floor"]["seq"]
            .as_u64()
            .unwrap_or_default(),
        complaints,
        held,
    })
}

async fn compare(subject: &Subject, told: &Told, promise: &Promise) -> Result<Outcome, String> {
    if told.floor > promise.floor_max || told.floor < promise.floor_min {
        let (min, max, floor) = (promise.floor_min, promise.floor_max, told.floor);
        return Err(format!("the floor is {floor} instead of {min} to {max}"));
    }
    let mut lost = Vec::new();
    for (seq, hash) in promise.acked.iter().filter(|(seq, _)| *seq > told.floor) {
        match told.held.get(seq) {
            Some(held) if held == hash => {}
            Some(held) => return Err(format!("the record {seq} is {held} instead of {hash}")),
            None => lost.push(*seq),
        }
    }
    by_hash(subject, told, promise, &lost).await?;
    let complaints = told.complaints.join("; ");
    Ok(match (lost.as_slice(), complaints.is_empty()) {
        ([], true) => Outcome::Whole,
        ([], false) => Outcome::FalseAlarm(brief(&complaints)),
        ([first, ..], silent) => {
            let end = lost.last().copied().unwrap_or_default();
            let all = promise.acked.len();
            let what = format!(
                "{} of {all} acknowledged are gone, seq {first} to {end}; {complaints}",
                lost.len()
            );
            if silent {
                Outcome::SilentLoss(what)
            } else {
                Outcome::ToldLoss(brief(&what))
            }
        }
    })
}

/// Receipts keep their word: a record that is there is found by its hash, and one that is lost is not just unknown.
async fn by_hash(
    subject: &Subject,
    told: &Told,
    promise: &Promise,
    lost: &[Seq],
) -> Result<(), String> {
    let above = promise.acked.iter().filter(|(seq, _)| *seq > told.floor);
    let mut asked: Vec<_> = above.collect();
    fastrand::shuffle(&mut asked);
    asked.sort_by_key(|(seq, _)| !lost.contains(seq));
    let gone = lost.len().min(BY_HASH);
    for (seq, hash) in asked[..gone]
        .iter()
        .chain(asked[lost.len()..].iter().take(BY_HASH))
    {
        let (status, record) = subject.get(&format!("/v1/boboyka/records/{hash}")).await?;
        let is_lost = lost.contains(seq);
        if status == 200 && record["seq"] != *seq {
            return Err(format!("the hash of {seq} leads to {}", record["seq"]));
        }
        if let (200, Some(n)) = (status, record["data"]["n"].as_u64())
            && record["data"] == keyed_data(n)
        {
            let (status, receipt) = subject.ingest_again(n).await?;
            if receipt["record_hash"] != **hash {
                return Err(format!("the key of {seq} gets {status}: {receipt}"));
            }
        }
        if status != 200 && !is_lost {
            return Err(format!(
                "the record {seq} is in the feed, and by its hash {status}: {record}"
            ));
        }
        if status == 404 && !told.complaints.is_empty() {
            return Err(format!(
                "the receipt of the lost record {seq} gets a plain 404: {record}"
            ));
        }
    }
    Ok(())
}

/// The beginning of a text, or for a log its end.
fn brief(text: &str) -> String {
    const MAX: usize = 600;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= MAX {
        return text.to_owned();
    }
    let (begin, end) = (&chars[..MAX / 3], &chars[chars.len() - MAX * 2 / 3..]);
    format!(
        "{} … {}",
        begin.iter().collect::<String>(),
        end.iter().collect::<String>()
    )
}
